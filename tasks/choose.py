"""Choose: which version a subject is served, by the flags, evaluated in this process through OpenFeature."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from pathlib import Path

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

from headgate.canonical import SAFE_INTEGER
from headgate.errors import Unavailable
from headgate.flags import context, flag_key

POLL_MS = 100
"""How often flagd's provider looks whether the file is another one."""


class Chooser:
    """Evaluates the flags of a file, and follows it.

    Raises:
        Unavailable: there is no such file yet, or it is none of flags.
    """

    def __init__(self, path: Path) -> None:
        self._path, domain = path, f"headgate-{secrets.token_hex(8)}"
        # It tells every failed look at the file with a traceback, ten times a second: what counts is told by `choose`.
        logging.getLogger("openfeature").setLevel(logging.CRITICAL)
        self._provider = FlagdProvider(
            resolver_type=ResolverType.FILE, offline_flag_source_path=str(path), deadline_ms=POLL_MS
        )
        try:
            api.set_provider_and_wait(self._provider, domain)
        except Exception as error:  # whatever a file may hold
            self._provider.shutdown()
            raise self._unusable(f"{type(error).__name__}: {error}") from error
        self._client = api.get_client(domain)

    def choose(self, model: str, subject: str, audience: Mapping[str, str]) -> tuple[str, int]:
        """The stage that serves a subject, and its version; 0 if none does.

        Raises:
            Unavailable: the file has no flag of the model, or one that cannot be evaluated.
        """
        asked = EvaluationContext(subject, dict(context(model, subject, audience)))  # type: ignore[arg-type]  # it is JSON
        found = self._client.get_integer_details(flag_key(model), 0, asked)
        # A flag that is off answers with the caller's own default, and has no variant; true is an integer in Python.
        sound = type(found.value) is int and 0 <= found.value <= SAFE_INTEGER
        if found.error_code is not None or found.variant is None or not sound:
            raise self._unusable(f"no usable flag of {model} ({found.error_code or found.reason})")
        return found.variant, found.value

    def close(self) -> None:
        """Look no more."""
        self._provider.shutdown()

    def _unusable(self, got: str) -> Unavailable:
        return Unavailable(
            f"flags {self._path}",
            got=got,
            expected="the flags that the ledgers render",
            next_step="see why the ledger of the model cannot be read, or why nothing of it is live: `headgate status`",
        )
