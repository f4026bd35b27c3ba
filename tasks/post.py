"""Post: bring OpenLineage's events to whoever collects them, in a process of its own that nobody waits for.

The process is `python -m tasks.post`. It reads events from standard input, one per line, and sends each to the address
that OpenLineage's own variables name. It says on standard error how far it came, and never names key or path: an
address may hold a secret. Nothing depends on it, since all it sends is evidence already.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

_PATIENCE, _LONGEST, _TRIES = 5.0, 60.0, 3
_BUSY = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Collector:
    """Where events go: `OPENLINEAGE_URL`, `OPENLINEAGE_ENDPOINT` and `OPENLINEAGE_API_KEY`."""

    url: str
    key: str | None

    @classmethod
    def named(cls, variables: Mapping[str, str]) -> Collector | None:
        """The collector that the environment names, if any, and if `OPENLINEAGE_DISABLED` does not say no."""
        url = variables.get("OPENLINEAGE_URL", "").strip()
        if not url or variables.get("OPENLINEAGE_DISABLED", "").strip().lower() in ("true", "1"):
            return None
        endpoint = variables.get("OPENLINEAGE_ENDPOINT", "").strip() or "api/v1/lineage"
        return cls(f"{url.rstrip('/')}/{endpoint.lstrip('/')}", variables.get("OPENLINEAGE_API_KEY") or None)

    @property
    def shown(self) -> str:
        """The address as it may be logged: without user, path and query."""
        try:
            parts = urlsplit(self.url)
            return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        except ValueError:
            return "an address that is none"


class _Staying(urllib.request.HTTPRedirectHandler):
    # A redirect would carry the key to another host, and turn the request into one without a body.
    def redirect_request(self, *_: Any) -> None:
        return None


def start(events: bytes, log: Path) -> bool:
    """Start the process on some events, if a collector is named, and return at once; whether it was started.

    Args:
        log: the file that it adds its one line to.
    """
    if Collector.named(os.environ) is None:
        return False
    log.parent.mkdir(parents=True, exist_ok=True)
    # A file, not a pipe: a pipe is full after 64 kB, and whoever writes more would wait for the reader.
    with tempfile.TemporaryFile() as given, log.open("ab") as said:
        given.write(events)
        given.seek(0)
        command = [sys.executable, "-m", "tasks.post"]
        sender = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=given, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True, cwd=_ROOT
        )
    # It is waited for by nobody but this thread, so that a process that lives long keeps no dead children.
    threading.Thread(target=sender.wait, daemon=True).start()
    return True


def send(events: Iterable[bytes], collector: Collector, tries: int = _TRIES) -> tuple[int, str]:
    """Send events one by one: how many were taken, and why the next one was not; empty if all were.

    An event that is refused ends it, since the ones after it build on it.
    """
    opener, until = urllib.request.build_opener(_Staying), time.monotonic() + _LONGEST
    taken = 0
    for event in events:
        why = _delivered(opener, event, collector, tries, until)
        if why:
            return taken, why
        taken += 1
    return taken, ""


def _delivered(
    opener: urllib.request.OpenerDirector, event: bytes, collector: Collector, tries: int, until: float
) -> str:
    why = "no time left"
    for attempt in range(tries):
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            with opener.open(_request(event, collector), timeout=min(_PATIENCE, left)):
                return ""
        except urllib.error.HTTPError as error:
            why = f"HTTP {error.code}"
            error.close()
            if error.code not in _BUSY:
                break
        except Exception as error:  # whatever it was; its text may quote the address
            why = type(getattr(error, "reason", error)).__name__
        time.sleep(min(2.0**attempt / 2, left))
    return why


def _request(event: bytes, collector: Collector) -> urllib.request.Request:
    if urlsplit(collector.url).scheme not in ("http", "https"):
        raise ValueError("an address of another kind")
    headers = {"Content-Type": "application/json", "User-Agent": "headgate"}
    if collector.key is not None:
        headers["Authorization"] = f"Bearer {collector.key}"
    return urllib.request.Request(collector.url, event, headers, method="POST")  # noqa: S310 - checked above


def main(events: IO[bytes]) -> None:
    """Send what is given, and say how it went in one line."""
    collector = Collector.named(os.environ)
    if collector is None:
        return
    lines = events.read().splitlines()
    taken, why = send(lines, collector)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    failed = f"; then {why}. They are evidence in the store" if why else ""
    print(f"{at} {collector.shown} took {taken} of {len(lines)} events{failed}.", file=sys.stderr)  # noqa: T201


_ROOT = Path(__file__).parents[1]

if __name__ == "__main__":
    signal.alarm(int(_LONGEST) + 10)  # whatever a collector does, this ends
    main(sys.stdin.buffer)
