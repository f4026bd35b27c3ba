"""A stage: a home in which one release is live and a second one is ready to be promoted; and tasks without Prefect."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_folder import REQUESTER, Toy

from headgate.finding import DataReport, Finding
from headgate.records import Validated
from headgate.serving import ServingProfile
from headgate.verdict import Verdict
from tasks import follow
from tasks.record import Case, Desk

if TYPE_CHECKING:
    from mlflow import MlflowClient

TASKS = ("snapshot", "train", "register", "evaluate", "package", "approve", "ask", "promote", "publish", "halt", "roll")
SERVED = ServingProfile(latencies_us=(1000,) * 300, loads_ms=(1.0,), peak_memory_mib=200.0)


@dataclass
class Pages:
    """The Prefect artifacts that tasks made, without a server to keep them: pairs of key and content."""

    made: list[tuple[str, str]] = field(default_factory=list)

    def markdown(self, *, key: str, markdown: str, description: str | None = None) -> None:
        self.made.append((key, markdown))

    def link(self, *, key: str, link: str, link_text: str) -> None:
        assert link_text
        self.made.append((key, link))


def recorded(monkeypatch: pytest.MonkeyPatch) -> Pages:
    pages = Pages()
    for name in TASKS:
        monkeypatch.setattr(f"tasks.{name}.create_markdown_artifact", pages.markdown, raising=False)
        monkeypatch.setattr(f"tasks.{name}.create_link_artifact", pages.link, raising=False)
    return pages


@dataclass(frozen=True)
class Stage:
    """A home with a promoted release `live` (version 1) and an approved one, `ready` (version 2).

    Attributes:
        open: run the steps up to and with the named one on a new release, and return its case.
    """

    toy: Toy
    live: Case
    ready: Case
    pages: Pages
    open: Callable[..., Case]

    @property
    def desk(self) -> Desk:
        return Desk(self.toy.home, self.toy.name)

    @property
    def registry(self) -> MlflowClient:
        from tasks.connect import client

        return client(self.desk.home)

    def kinds(self, case: Case) -> list[str]:
        """The kinds of the entries about a release, oldest first."""
        return [e.kind for e in self.desk.ledger().entries if e.release == case.release]

    def alias(self) -> int | None:
        from tasks.connect import alias_version

        return alias_version(self.registry, self.toy.name, "champion")


def opened(toy: Toy, until: str, **given: str) -> Case:
    case: Case = import_module("tasks.request").request.fn(str(toy.home), str(toy.folder), REQUESTER, **given)
    for step in ("snapshot", "validate", "train", "register", "evaluate", "package", "approve"):
        run(step, case)
        if step == until:
            break
    return case


def run(step: str, case: Case) -> Any:
    """Run one task on a case, as the flow does, but without Prefect's engine."""
    if step == "validate":
        return passed(case)
    module = import_module(f"tasks.{step}")
    if step == "evaluate":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "take_probe", lambda: saying(SERVED.to_bytes()))
            return module.evaluate.fn(case)
    return getattr(module, step).fn(case)


def passed(case: Case) -> None:
    """Record that the data passed."""
    desk = Desk(case.home, case.model)
    report = DataReport(findings=(Finding(check="rows", table="both", verdict=Verdict.PASS, reason="1 of 1"),))
    desk.write(case.release, Validated(verdict="PASS", report=desk.keep(report.model_dump(mode="json"))))


def saying(answer: bytes) -> subprocess.Popen[bytes]:
    """A process that reads a request and answers always the same."""
    code = f"import sys; sys.stdin.read(); sys.stdout.buffer.write({answer!r})"
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def approve_all(toy: Toy, case: Case) -> None:
    from tasks.approve import answer

    for role, key in toy.keys.items():
        answer(case, role=role, key=key)


def keep(toy: Toy, name: str = "kept") -> None:
    """Copy what a home's records are, to go back to it."""
    kept = toy.home.with_name(name)
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(toy.home / "store", kept / "store")
    shutil.copytree(toy.home / "mlflow" / "artifacts", kept / "artifacts")
    _copy_database(toy.home / "mlflow" / "mlflow.db", kept / "mlflow.db")


def new_process() -> None:
    """Forget what this process has verified, as one that was just started."""
    follow._followed.clear()


def restore(toy: Toy, name: str = "kept") -> None:
    """Take a home back to what was kept."""
    # This very process, and the home's memory, would see that entries were cut off.
    new_process()
    shutil.rmtree(toy.home / "memory", ignore_errors=True)
    (toy.home / "flags.json").unlink(missing_ok=True)
    kept = toy.home.with_name(name)
    for source, target in ((kept / "store", toy.home / "store"), (kept / "artifacts", toy.home / "mlflow/artifacts")):
        shutil.rmtree(target)
        shutil.copytree(source, target)
    _copy_database(kept / "mlflow.db", toy.home / "mlflow" / "mlflow.db")


def _copy_database(source: Path, target: Path) -> None:
    # Into the file that is there: MLflow keeps its connections to it.
    with closing(sqlite3.connect(source)) as left, closing(sqlite3.connect(target)) as right:
        left.backup(right)
