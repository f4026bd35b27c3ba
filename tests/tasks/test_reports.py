"""The report as a file of a home: written whole, with links that may be shown, and compared by the audit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from model_folder import PEOPLE
from stage import Stage

from flows.cli import cli
from headgate.errors import HeadgateError, Tampered, Unavailable
from headgate.records import Evaluated
from headgate.report import claims
from tasks import report as reports
from tasks.audit import audit_all
from tasks.report import Written, refresh, report, report_all

FORM = f"http://127.0.0.1:4200/v2/deployments/deployment/{'0' * 36}/run?parameters=%7B%22folder%22%3A%20%22f%22%7D"


@pytest.fixture(autouse=True)
def _clean(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """No page of another test, and no server of another test's."""
    for path in (stage.toy.home / "reports").glob("*"):
        path.unlink()
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


def wrong(stage: Stage) -> list[str]:
    return [f"{a.name}: {a.got}" for a in audit_all(stage.toy.home, ask_registry=False)["toy"].anomalies]


def invoked(stage: Stage, *words: str) -> tuple[int, str]:
    ended = CliRunner().invoke(cli, ["--home", str(stage.toy.home), "report", *words])
    return ended.exit_code, ended.stdout


def test_it_is_written_where_the_audit_compares_it(stage: Stage) -> None:
    code, said = invoked(stage, "toy", "--json")
    told = json.loads(said)
    path = stage.toy.home / "reports" / "toy.html"
    assert (code, told["path"]) == (0, str(path))
    assert [(live["alias"], live["version"]) for live in told["live"]] == [("champion", 1)]
    assert [(wait["release"], wait["owed"]) for wait in told["waits"]] == [("toy-2", [])]
    assert {reply["person"] for reply in told["happened"]["replies"]} == {*PEOPLE.values()}
    assert claims(path.read_bytes())["headgate.root"] == stage.desk.ledger().root() == told["root"]
    assert [p.name for p in path.parent.iterdir()] == ["toy.html"], "no draft is left"
    found = audit_all(stage.toy.home, ask_registry=False)["toy"]
    assert (found.reports, found.anomalies) == (1, ())
    path.write_bytes(path.read_bytes().replace(b"waits for", b"does without"))
    assert len(wrong(stage)) == 1
    assert wrong(stage)[0].startswith("other_report: reports/toy.html: sha256:")
    assert audit_all(stage.toy.home, store=stage.toy.home / "store", ask_registry=False)["toy"].reports == 0


def test_elsewhere_it_has_no_links_to_folders_and_is_not_compared(stage: Stage, tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.html"
    assert invoked(stage, "toy", "--out", str(out)) == (0, f"{out}\n")
    assert b"../packages" not in out.read_bytes()
    assert audit_all(stage.toy.home, ask_registry=False)["toy"].reports == 0
    assert invoked(stage, "--out", str(out))[0] == 2
    assert invoked(stage, "ghost")[0] == 2
    (tmp_path / "file").write_text("")
    assert invoked(stage, "toy", "--out", str(tmp_path / "file" / "page.html"))[0] == 3


def test_links_lead_to_servers_that_were_named_and_tell_no_password(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    monkeypatch.setattr(reports, "form_of", lambda *_, **__: FORM)
    with monkeypatch.context() as patch:
        patch.setattr(reports, "browsable", lambda _: "https://mlflow.example")
        assert "mlflow.example" not in report(stage.toy.home, "toy").path.read_text(), "nobody declared it"
    page = report(stage.toy.home, "toy").path.read_text()
    assert "deployments/deployment/" in page
    assert "%22version%22%3A%202%7D" in page
    with monkeypatch.context() as patch:
        patch.setattr("tasks.connect._NAMED", "https://user:secret@mlflow.example")
        page = report(stage.toy.home, "toy").path.read_text()
        assert "https://mlflow.example/#/models/toy/versions/1" in page
        assert "secret" not in page
        assert wrong(stage) == []
    assert "MLflow at 'https://mlflow.example'" in wrong(stage)[0], "it is not declared here"


def test_a_server_that_does_not_answer_costs_a_link_and_nothing_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> str:
        raise ConnectionRefusedError

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(reports, "form_of", refused)
    assert "the server did not answer" in report(stage.toy.home, "toy").path.read_text()


def test_evidence_that_is_gone_is_said(stage: Stage) -> None:
    digest = stage.desk.release("toy-1").step(Evaluated).judged.removeprefix("sha256:")
    (stage.toy.home / "store" / "evidence" / "sha256" / digest[:2] / digest[2:]).unlink()
    page = report(stage.toy.home, "toy").path.read_text()
    assert "Evidence that the ledger names cannot be read: the verdicts" in page
    assert not [said for said in wrong(stage) if said.startswith("other_report")], "which is so for the audit too"


def test_all_models_have_a_line_and_one_in_trouble_keeps_no_other_from_it(stage: Stage) -> None:
    assert invoked(stage) == (0, f"{stage.toy.home / 'reports' / 'index.html'}\n")
    index = stage.toy.home / "reports" / "index.html"
    assert "Version 1 is live as &#x27;champion&#x27;" in index.read_text()
    assert audit_all(stage.toy.home, ask_registry=False)["toy"].reports == 2
    index.write_text(index.read_text().replace("Version 1 is live", "Version 2 is live"))
    assert wrong(stage)[0].startswith("other_report: reports/index.html: ")
    ghost = stage.toy.home / "store" / "ledger" / "ghost"
    ghost.mkdir()
    (ghost / "000000000.json").write_text("{}")
    path, made = report_all(stage.toy.home, ["ghost", "toy"])
    assert isinstance(made["toy"], Written)
    assert isinstance(made["ghost"], Tampered)
    assert "Its records cannot be read" in path.read_text()
    assert invoked(stage)[0] == 1
    assert json.loads(invoked(stage, "--json")[1])["models"]["ghost"]["error"]


def test_a_report_of_a_ledger_that_is_not_there_is_found(stage: Stage) -> None:
    made = report(stage.toy.home, "toy").path
    made.with_name("ghost.html").write_bytes(
        made.read_bytes().replace(b'"headgate.model" content="toy"', b'"headgate.model" content="ghost"')
    )
    made.with_name("notes.html").write_text("of somebody")
    found = audit_all(stage.toy.home, ask_registry=False)
    assert [a.name for a in found["ghost"].anomalies] == ["other_report"]
    assert set(found) == {"toy", "ghost"}


def test_what_keeps_a_page_from_being_written_stops_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reports, "page", lambda *_: (_ for _ in ()).throw(RuntimeError("no")))
    refresh(stage.toy.home, "toy")
    assert "the report of toy not written: no" in caplog.text
    with pytest.raises(HeadgateError):
        report(stage.toy.home / "none", "toy")


def test_a_page_that_cannot_take_its_place_leaves_no_draft_behind(stage: Stage, tmp_path: Path) -> None:
    taken = tmp_path / "toy.html"
    taken.mkdir()
    with pytest.raises(Unavailable, match=r"toy\.html"):
        report(stage.toy.home, "toy", taken)
    assert [path.name for path in tmp_path.iterdir()] == ["toy.html"]
