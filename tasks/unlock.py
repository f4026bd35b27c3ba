"""Unlock: the pipeline's keys of a home. Whoever only reads needs the public one, and never makes a private one."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from headgate.errors import BadInput, HeadgateError, Tampered
from headgate.home import Home
from headgate.signing import Signer, Verifier, new_key
from tasks.place import models_of


def signer(home: Home) -> Signer:
    """The pipeline's key; made, with its public half beside it, in a home that has neither a key nor a ledger.

    Raises:
        BadInput: only the public key is here, or none though there are ledgers; or others can read the private one.
        Tampered: the two keys that are here do not belong together.
        Unavailable: the store does not answer.
    """
    if not home.pipeline_key.exists():
        _demand_new(home)
        _lay(home.pipeline_key, new_key(), 0o600)
    made = Signer(_private(home.pipeline_key))
    if home.public_key.exists():
        _demand_pair(home, Verifier(home.public_key.read_bytes()), made)
    else:
        with suppress(OSError):  # a home that cannot be written to is still read
            _lay(home.public_key, made.public_pem, 0o644)
    return made


def verifier(home: Home) -> Verifier:
    """What verifies the pipeline's signatures: its public key alone, where that is all there is.

    Raises: as `signer`, but for a home that has only the public key.
    """
    if home.public_key.exists() and not _readable(home.pipeline_key):
        return Verifier(home.public_key.read_bytes())
    return Verifier(signer(home).public_pem)


def has_key(home: Home) -> bool:
    """Whether signatures of a home can be verified with what is there."""
    return home.public_key.exists() or home.pipeline_key.exists()


def unknown(home: Home) -> BadInput:
    """What is said where no key is, and none may be made: another one would make the ledgers look forged."""
    return BadInput(
        f"pipeline key {home.pipeline_key}",
        got="no such file, nor pipeline.pub beside it",
        expected="the key of the home that these ledgers are from",
        next_step="copy keys/pipeline.pub from that home to read or serve; to release, restore keys/ from its backup",
    )


def _demand_new(home: Home) -> None:
    """Nothing, if a key may be made here."""
    found: HeadgateError | None = None
    if home.public_key.exists():
        found = BadInput(
            f"pipeline key {home.pipeline_key}",
            got="the public key alone",
            expected="the private one too: something is to be signed",
            next_step="do that in the home where the key is; with the public one a home can be read and served from",
        )
    elif models_of(home.root):
        found = unknown(home)
    # Whoever makes the first key at this moment has it before its public half and before a ledger.
    if found is not None and not home.pipeline_key.exists():
        raise found


def _demand_pair(home: Home, public: Verifier, private: Signer) -> None:
    if public.key_id != private.key_id:
        raise Tampered(
            f"pipeline keys in {home.public_key.parent}",
            got=f"{home.public_key.name} of the key {public.key_id}, beside a private one of {private.key_id}",
            expected="two halves of one key",
            next_step=f"find out which one the ledgers are signed with; if it is the private one, delete "
            f"{home.public_key.name}: it is made again",
        )


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK)


def _private(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise BadInput(
            f"pipeline key {path}",
            got=f"permissions {path.stat().st_mode & 0o777:o}",
            expected="600: only its owner may read it",
            next_step=f"if nobody else has read it, run `chmod 600 {path}`; else make a new home",
        )
    return path.read_bytes()


def _lay(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        # A link, not a rename: of two writers that make the first key at once, one wins and both use that.
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        Path(draft).unlink()
