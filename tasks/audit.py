"""Audit: recompute what is recorded, and compare it with what MLflow shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headgate.audit import Findings, audit
from headgate.canonical import DIGEST
from headgate.display import Display
from headgate.entry import Digest
from headgate.errors import HeadgateError
from headgate.home import Home
from headgate.ledger import slots
from headgate.signers import AllowedSigners
from headgate.state import fold
from headgate.store import Store
from tasks.connect import alias_version, asking, client
from tasks.place import opened, store_of
from tasks.record import Desk

_PAGE = 200


def audit_all(
    home: Path,
    *,
    model: str | None = None,
    store: Path | str | None = None,
    ask_registry: bool = True,
    signers: AllowedSigners | None = None,
) -> dict[str, Findings]:
    """The findings about every model of a home, or about one.

    Args:
        store: the address of a copy, with its evidence, to audit instead of the home's own stores.
        ask_registry: compare the aliases, and the pages of the versions, with what MLflow shows.
        signers: everybody who could ever sign, as known from outside the store; None to believe the recorded files.
    """
    place, objects = _stores(Home(home), store)
    names = {name.split("/")[1] for name in place.names("ledger/")}
    wanted = sorted(names if model is None else {model} & names)
    evidence = _evidence(objects)
    desks = [Desk(home, name) for name in wanted]
    return {
        desk.model: audit(
            desk.model,
            slots(place, desk.model),
            desk.verifier,
            evidence,
            _live(desk) if ask_registry else None,
            pages=_pages(desk) if ask_registry else {},
            signers=signers,
        )
        for desk in desks
    }


def _stores(home: Home, copy: Path | str | None) -> tuple[Store, Store]:
    if copy is None:
        return store_of(home), store_of(home, "evidence")
    return opened(str(copy)), opened(str(copy))


def _evidence(place: Store) -> dict[Digest, bytes]:
    # An object's name is its digest: what lies under a name that is none cannot be asked for, and is not evidence.
    named = {name: "sha256:" + "".join(name.split("/")[2:]) for name in place.names("evidence/")}
    return {digest: place.get(name) or b"" for name, digest in named.items() if DIGEST.fullmatch(digest)}


def _live(desk: Desk) -> dict[str, int | None] | None:
    try:
        aliases = fold(desk.model, desk.ledger().entries).aliases
    except HeadgateError:
        return None  # the ledger's own anomalies say more
    registry = client(desk.home)
    return {alias: alias_version(registry, desk.model, alias) for alias in aliases}


def _pages(desk: Desk) -> dict[int, Display]:
    registry, token = client(desk.home), None
    found: list[Any] = []
    with asking(f"versions of {desk.model}"):
        while token != "":
            page = registry.search_model_versions(f"name='{desk.model}'", max_results=_PAGE, page_token=token)
            found += page
            token = page.token or ""
    return {int(v.version): Display(v.description or "", dict(v.tags)) for v in found}
