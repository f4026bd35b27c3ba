"""MLflow's pages are those that the ledger renders: what somebody else wrote is found, what is old is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import pytest
from mlflow import MlflowClient
from stage import Stage, run

from headgate.audit import Findings
from headgate.card import PICTURE
from headgate.pedigree import PEDIGREE
from tasks import publish
from tasks.audit import audit_all


def audited(stage: Stage) -> Findings:
    return audit_all(stage.toy.home)["toy"]


def wrong(stage: Stage) -> list[str]:
    found = audited(stage)
    assert {a.name for a in found.anomalies} <= {"other_page"}
    return [a.got for a in found.anomalies]


def test_what_was_published_is_what_the_ledger_renders_and_stays_so_when_it_is_old(stage: Stage) -> None:
    assert audited(stage).pages == 0
    run("publish", stage.live)
    run("publish", stage.ready)
    found = audited(stage)
    assert (found.pages, found.anomalies) == (2, ())
    run("promote", stage.ready)
    assert audited(stage).anomalies == (), "an old page is no forged one"
    run("publish", stage.ready)
    run("publish", stage.open("register", training=str(stage.toy.training)))
    found = audited(stage)
    assert (found.pages, found.anomalies) == (3, ())


def test_a_page_has_a_link_to_the_form_and_keeps_it_and_no_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    form = "http://prefect.example/run?parameters=%7B%22version%22%3A%201%7D"
    with monkeypatch.context() as patch:
        patch.setattr(publish, "form_of", lambda *_, **__: form)
        run("publish", stage.live)
    for _ in range(2):
        page = stage.registry.get_model_version("toy", "1")
        assert page.description.startswith(f"[Promote version 1 by hand, in Prefect]({form})\n\n")
        assert audited(stage).anomalies == ()
        run("publish", stage.live)  # where no server knows the form
    described(lambda card: card.replace("prefect.example", "others.example"))(stage.registry)
    assert any("version 1: a description" in said for said in wrong(stage))


def described(text: Callable[[str], str]) -> Callable[[MlflowClient], None]:
    def act(registry: MlflowClient) -> None:
        card = registry.get_model_version("toy", "1").description
        registry.update_model_version("toy", "1", description=text(card))

    return act


def tagged(name: str, value: str) -> Callable[[MlflowClient], None]:
    return lambda registry: registry.set_model_version_tag("toy", "1", name, value)


def painted(name: str) -> Callable[[MlflowClient], None]:
    return lambda registry: registry.log_text(run_of(registry), "<svg/>", name)


def erased(name: str) -> Callable[[MlflowClient], None]:
    return lambda registry: Path(urlparse(registry.get_run(run_of(registry)).info.artifact_uri).path, name).unlink()


def run_of(registry: MlflowClient) -> str:
    return str(registry.get_model_version("toy", "1").run_id)


HARM = {
    "a better picture of the gates": painted(PICTURE),
    "another lineage": painted(PEDIGREE),
    "no picture": erased(PICTURE),
    "a better figure": described(lambda card: card.replace("PASS", "PASS!", 1)),
    "no description": described(lambda _: ""),
    "a sentence more": described(lambda card: card + "Approved by everybody."),
    "another verdict": tagged("headgate.verdict", "PASS with honours"),
    "another package": tagged("headgate.package", "sha256:" + "0" * 64),
    "a tag of ours": tagged("headgate.certified", "yes"),
    "another ledger": tagged("headgate.ledger", "3 sha256:" + "0" * 64),
    "no size": tagged("headgate.ledger", "many x"),
    "a longer ledger": tagged("headgate.ledger", "999 sha256:" + "0" * 64),
    "no ledger": lambda registry: registry.delete_model_version_tag("toy", "1", "headgate.ledger"),
    "a tag less": lambda registry: registry.delete_model_version_tag("toy", "1", "headgate.verdicts"),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_somebody_else_wrote_is_found_and_publishing_mends_it(stage: Stage, harm: str) -> None:
    run("publish", stage.live)
    HARM[harm](stage.registry)
    (said,) = wrong(stage)
    assert said.startswith("version 1: ")
    run("publish", stage.live)
    assert wrong(stage) == ([] if harm != "a tag of ours" else [said]), "a tag that nobody knows is nobody's to delete"


def test_the_page_of_another_release_or_of_none_is_found(stage: Stage) -> None:
    run("publish", stage.live)
    run("publish", stage.ready)
    theirs = stage.registry.get_model_version("toy", "1")
    made = stage.registry.create_model_version("toy", source=theirs.source, run_id=theirs.run_id)
    assert wrong(stage) == [], "a version without a page claims nothing"
    for version in ("2", str(made.version)):
        stage.registry.update_model_version("toy", version, description=theirs.description)
        for name in ("headgate.ledger", "headgate.verdict", "headgate.stage"):
            stage.registry.set_model_version_tag("toy", version, name, theirs.tags[name])
    assert any("version 2: a description" in said for said in wrong(stage))
    assert any(said == f"version {made.version} with a page" for said in wrong(stage))


def test_a_page_that_was_cut_for_a_narrow_database_is_the_ledgers_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    real = MlflowClient.update_model_version

    def narrow(self: MlflowClient, name: str, version: str, description: str) -> object:
        if len(description) > 5000:
            raise mlflow.exceptions.MlflowException("value too long for type character varying(5000)")
        return real(self, name, version, description)

    monkeypatch.setattr(MlflowClient, "update_model_version", narrow)
    run("publish", stage.live)
    assert len(stage.registry.get_model_version("toy", "1").description) <= 5000
    assert wrong(stage) == []
