"""Inventory: the software of the environment that this process runs in, as its own metadata name it."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib.metadata import distributions

from headgate.materials import software_bill

_NAME, _VERSION = (re.compile(rf"^{header}: *(\S+)", re.MULTILINE) for header in ("Name", "Version"))


def inventory() -> bytes:
    """The bill of materials of this environment; the same bytes wherever the same packages are installed."""
    return software_bill(_packages(), platform.python_version())


def _packages() -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for found in distributions():
        # Two headers of the text, because parsing all of it takes ten times as long. What has none was half removed.
        text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
        name, version = _NAME.search(text), _VERSION.search(text)
        if name and version and name[1].lower() not in seen:  # the first one on the path is the one that is imported
            seen.add(name[1].lower())
            yield name[1], version[1]
