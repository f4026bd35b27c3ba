"""Place: in which stores the records of a home are.

`HEADGATE_STORE` names the store of the ledger, `HEADGATE_EVIDENCE` one for the evidence if it is another: a folder, or
``s3://bucket/prefix``. Without them both are a folder below the home.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from headgate.admission import Admitted
from headgate.conformance import Use
from headgate.errors import BadInput
from headgate.home import Home
from headgate.policy import Retention
from headgate.store import FolderStore, Store

STORE, EVIDENCE = "HEADGATE_STORE", "HEADGATE_EVIDENCE"


def store_of(
    home: Home, use: Use = "ledger", *, create: bool = False, retained: Callable[[], Retention | None] | None = None
) -> Store:
    """The store of a home's ledger, or of its evidence.

    Args:
        create: make the home's own folder if it is meant and missing. Elsewhere a missing one is more likely not
            mounted.
        retained: how long what is written must stay, where the store can see to that.

    Raises:
        BadInput: that is no address of a store.
    """
    named = os.environ.get(EVIDENCE) if use == "evidence" else None
    url = named or os.environ.get(STORE)
    if url:
        return opened(url, use if named else "ledger", retained)
    return FolderStore.create(home.store) if create else FolderStore(home.store)


def opened(url: str, use: Use = "ledger", retained: Callable[[], Retention | None] | None = None) -> Store:
    """The store at an address; a bucket is written to only if a check has accepted it for this use.

    Raises:
        BadInput: that is no address of a store.
    """
    if not url.startswith("s3://"):
        return FolderStore(folder_of(url))
    from tasks.bucket import S3Store

    bucket = S3Store(url, once=use == "ledger", retained=retained)
    return Admitted(bucket, bucket.place, use, url)


def folder_of(url: str) -> Path:
    """The folder of ``file:///a/b``, or of a plain path.

    Raises:
        BadInput: it is another kind of address.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if "://" in url:
        raise BadInput(
            f"store '{url}'",
            got=f"an address of the kind '{parts.scheme}'",
            expected="a folder, file:///folder or s3://bucket/prefix",
            next_step=f"correct {STORE}, {EVIDENCE} or the argument",
        )
    return Path(url)


def models_of(home: Path) -> list[str]:
    """The names of all models that have a ledger, sorted; none in a home that was never used."""
    if not os.environ.get(STORE) and not Home(home).store.exists():
        return []
    return sorted({name.split("/")[1] for name in store_of(Home(home)).names("ledger/")})
