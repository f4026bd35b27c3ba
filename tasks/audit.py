"""Audit: recompute what is recorded, and compare it with what MLflow, the reports and the flags show."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate.anomaly import Anomaly
from headgate.audit import audit
from headgate.canonical import DIGEST, digest_of
from headgate.card import PICTURE
from headgate.checkpoint import origin, sign
from headgate.display import LEDGER, Display
from headgate.entry import Digest
from headgate.errors import HeadgateError, Tampered, Unavailable
from headgate.home import Home
from headgate.ledger import slots
from headgate.memory import Memory
from headgate.overview import INDEX, misindexed
from headgate.pedigree import PEDIGREE
from headgate.report import claims
from headgate.reported import Reported
from headgate.signers import AllowedSigners
from headgate.store import Store
from headgate.walk import Findings
from tasks.connect import alias_version, asking, checkpoints, client, declared
from tasks.place import opened, store_of
from tasks.record import Desk
from tasks.remember import memory_of
from tasks.route import wrong

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PAGE = 200
_INDEX = INDEX.removesuffix(".html")
_TRIES = 5


def audit_all(
    home: Path,
    *,
    model: str | None = None,
    store: Path | str | None = None,
    ask_registry: bool = True,
    signers: AllowedSigners | None = None,
    witnesses: Mapping[str, bytes] | None = None,
) -> dict[str, Findings]:
    """The findings about every model of a home, or about one; what is sound is remembered.

    Args:
        store: the address of a copy, with its evidence, to audit instead of the home's own stores, reports and flags.
        ask_registry: compare the aliases, the checkpoints and the pages of the versions with what MLflow shows.
        signers: everybody who could ever sign, as known from outside the store; None to believe the recorded files.
        witnesses: checkpoints and approval texts that were kept elsewhere, beside what this home remembers.
    """
    place, objects = _stores(Home(home), store)
    memory = memory_of(Home(home))
    # A ledger that was seen and is gone is not nothing to audit.
    names = {name.split("/")[1] for name in place.names("ledger/")} | {*memory.models(_key(home))}
    reports = {} if store is not None else _reports(Home(home))
    names |= {name for name, data in reports.items() if claims(data).get("headgate.model") == name}
    desks = [Desk(home, name) for name in sorted(names if model is None else {model} & names)]
    seen = {desk.model: _seen(place, desk, ask_registry) for desk in desks}
    evidence, found = _evidence(objects), {}  # after the entries that name it, or what is written now seems to be gone
    for desk in desks:
        each = seen[desk.model]
        told = {**memory.notes(desk.model, desk.verifier.key_id), **each.notes, **(witnesses or {})}
        findings = audit(
            desk.model,
            each.stored,
            desk.verifier,
            evidence,
            each.live,
            pages=each.pages,
            report=_reported(desk, reports),
            signers=signers,
            witnesses=told,
        )
        found[desk.model] = _remembered(desk, memory, findings)
    found = found if model is not None else _indexed(found, reports.get(_INDEX), evidence)
    return found if store is not None or not Home(home).flags.exists() else _flagged(found, wrong(home), model)


@dataclass(frozen=True)
class _Seen:
    """A ledger, and what MLflow showed of it at the same time: aliases, checkpoints and pages."""

    stored: Mapping[int, bytes]
    live: dict[str, int | None] | None
    notes: dict[str, bytes]
    pages: dict[int, Display]


def _seen(place: Store, desk: Desk, ask_registry: bool) -> _Seen:
    """The same, read again where the ledger grew meanwhile: what was just decided is no tampering."""
    for _ in range(_TRIES):
        stored = slots(place, desk.model)
        live, notes = _shown(desk) if ask_registry else (None, {})
        found = _Seen(stored, live, notes, _pages(desk) if ask_registry else {})
        if len(place.names(f"ledger/{desk.model}/")) == len(stored):
            break
    return found


def _reports(home: Home) -> dict[str, bytes]:
    """The pages for stakeholders in a home, by the model that they are called after."""
    try:
        return {path.stem: path.read_bytes() for path in sorted(home.reports.glob("*.html"))}
    except OSError as error:
        raise Unavailable(
            f"reports in {home.reports}",
            got=f"{type(error).__name__}: {error.strerror or error}",
            expected="pages that can be read",
            next_step="make them readable, or delete them: `headgate report` makes them again",
        ) from error


def _reported(desk: Desk, reports: Mapping[str, bytes]) -> Reported | None:
    found = reports.get(desk.model)
    return None if found is None else Reported(found, declared(desk.home))


def _flagged(found: dict[str, Findings], others: Mapping[str, Anomaly], model: str | None) -> dict[str, Findings]:
    """The findings with what the flags say otherwise; what is of no model is told with the first of all."""
    told = {name: replace(findings, flags=1) for name, findings in found.items()}
    for name, anomaly in others.items():
        place = name if name in found else next(iter(found), None) if model is None else None
        # Of a broken ledger nothing can be made again, and its own anomalies say more.
        if place is not None and not (place == name and found[name].anomalies):
            told[place] = replace(told[place], anomalies=(*told[place].anomalies, anomaly))
    return told


def _indexed(found: dict[str, Findings], index: bytes | None, evidence: Mapping[Digest, bytes]) -> dict[str, Findings]:
    """The findings with what is wrong with the overview of all models, told with the first of them."""
    if index is None or not found or any(f.anomalies for f in found.values()):
        return found  # where a ledger is broken, nothing can be made again from it
    misled = tuple(misindexed(index, {name: f.ledger for name, f in found.items()}, _reading(evidence)))
    first, told = next(iter(found.items()))
    more = replace(told, reports=told.reports + 1, anomalies=(*told.anomalies, *misled))
    return {**found, first: more}


def _reading(evidence: Mapping[Digest, bytes]) -> Callable[[Digest], bytes]:
    def read(digest: Digest) -> bytes:
        if digest_of(evidence.get(digest, b"")) != digest:
            raise Tampered(f"evidence {digest}", got="other bytes", expected="its own", next_step="restore it")
        return evidence[digest]

    return read


def _key(home: Path) -> Digest:
    return Desk(home, "").verifier.key_id


def _remembered(desk: Desk, memory: Memory, findings: Findings) -> Findings:
    if findings.anomalies or not desk.signs:
        return findings
    seen = sign(findings.ledger, desk.signer)
    memory.keep(seen)
    return replace(findings, checkpoint=seen.note.decode())


def _stores(home: Home, copy: Path | str | None) -> tuple[Store, Store]:
    if copy is None:
        return store_of(home), store_of(home, "evidence")
    return opened(str(copy)), opened(str(copy))


def _evidence(place: Store) -> dict[Digest, bytes]:
    # An object's name is its digest: what lies under a name that is none cannot be asked for, and is not evidence.
    named = {name: "sha256:" + "".join(name.split("/")[2:]) for name in place.names("evidence/")}
    return {digest: place.get(name) or b"" for name, digest in named.items() if DIGEST.fullmatch(digest)}


def _shown(desk: Desk) -> tuple[dict[str, int | None] | None, dict[str, bytes]]:
    """Where MLflow has the aliases, None if the ledger does not say which, and the checkpoints that it shows."""
    registry = client(desk.home)
    notes = checkpoints(registry, desk.model, origin(desk.model, desk.verifier.key_id))
    try:
        aliases = desk.state().aliases
    except HeadgateError:
        return None, notes  # the ledger's own anomalies say more
    return {alias: alias_version(registry, desk.model, alias) for alias in aliases}, notes


def _pages(desk: Desk) -> dict[int, Display]:
    registry, token = client(desk.home), None
    found: list[Any] = []
    with asking(f"versions of {desk.model}"):
        while token != "":
            page = registry.search_model_versions(f"name='{desk.model}'", max_results=_PAGE, page_token=token)
            found += page
            token = page.token or ""
    with tempfile.TemporaryDirectory() as place:
        drawn = {v.version: _pictures(registry, v, Path(place, str(v.version))) for v in found}
    return {int(v.version): Display(v.description or "", dict(v.tags), drawn[v.version]) for v in found}


def _pictures(registry: MlflowClient, version: Any, place: Path) -> dict[str, str]:
    """The pictures of a version's page; without those that cannot be had, which are then found missing.

    Args:
        place: a folder that is to be made for them.
    """
    found = {}
    place.mkdir()
    for name in (PICTURE, PEDIGREE) if LEDGER in version.tags else ():
        with suppress(Exception):  # each kind of artifact store says in its own way that there is none
            path = registry.download_artifacts(version.run_id, name, dst_path=str(place))
            found[name] = Path(path).read_text()
    return found
