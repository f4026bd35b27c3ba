"""Report: write the pages for stakeholders into the home. They are derived, and may be made again at any time."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from headgate.address import Places, bare, is_form, is_known
from headgate.entry import moment
from headgate.errors import HeadgateError, Unavailable
from headgate.facts import Facts, facts
from headgate.home import Home
from headgate.ledger import Ledger
from headgate.overview import INDEX, Line, broken, line, overview
from headgate.report import page
from headgate.reported import PACKAGES
from tasks.brief import browsable
from tasks.connect import declared
from tasks.link import form_of
from tasks.record import Desk, now
from tasks.serve import running


@dataclass(frozen=True)
class Written:
    """Where a page was written, and what it says."""

    path: Path
    facts: Facts


def report(home: Path, model: str, out: Path | None = None) -> Written:
    """Write the report of a model, by default where the audit compares it.

    Raises:
        Tampered: the ledger is not what was written. A report that is there stays as it is.
        Unavailable: the records cannot be read, or the file cannot be written.
    """
    desk = Desk(home, model)
    ledger = desk.ledger()
    told = facts(ledger, desk.state(ledger), desk.evidence.get, _made(ledger))
    path = out or desk.home.reports / f"{model}.html"
    _write(path, page(told, _places(desk, beside=out is None)))
    return Written(path, told)


def report_all(home: Path, models: Iterable[str]) -> tuple[Path, dict[str, Written | HeadgateError]]:
    """Write the reports of models, and a page with a line for each. One model in trouble keeps no other from it."""
    made: dict[str, Written | HeadgateError] = {}
    for model in models:
        try:
            made[model] = report(home, model)
        except HeadgateError as error:
            made[model] = error
    path = Home(home).reports / INDEX
    _write(path, overview([_line(model, found) for model, found in made.items()]))
    return path, made


def refresh(home: Path, model: str) -> None:
    """Write the report of a model again at the end of a run. What keeps it from that is told, and stops nothing."""
    try:
        report(home, model)
    except Exception as error:  # derived, and no reason to fail what was decided
        logging.getLogger(__name__).warning("the report of %s not written: %s", model, error)


def _line(model: str, found: Written | HeadgateError) -> Line:
    return line(found.facts) if isinstance(found, Written) else broken(model)


def _made(ledger: Ledger) -> str:
    # The clock of whoever wrote the last entry may be ahead of this one.
    return max((now(), *(entry.time for entry in ledger.entries[-1:])), key=moment)


def _places(desk: Desk, *, beside: bool) -> Places:
    known = declared(desk.home)
    return Places(
        form=_known(_form(desk), known, is_form),
        mlflow=_known(browsable(desk), known),
        packages=PACKAGES if beside else None,
    )


def _known(url: str | None, known: Collection[str], fits: Callable[[str], bool] = bool) -> str | None:
    """An address without a password, if a report may lead there."""
    found = None if url is None else bare(url)
    return found if found is not None and is_known(found, known) and fits(found) else None


def _form(desk: Desk) -> str | None:
    own = running(desk.home, "prefect")
    if "PREFECT_API_URL" not in os.environ:
        if own is None:
            return None
        os.environ["PREFECT_API_URL"] = f"{own.url}/api"  # before Prefect is imported, which reads it then
    try:
        return form_of("promote", desk.model)
    except Exception:  # a page without a link is better than none
        return None


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), 0o644)
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(
            f"report {path}",
            got=f"{type(error).__name__}: {error.strerror or error}",
            expected="a place that can be written",
            next_step="correct it, or name another with --out",
        ) from error
