"""People are told through real channels: an HTTP server that takes the messages, and some that do not."""

from __future__ import annotations

from typing import Any

import pytest
from inbox import SECRET, Inbox, inbox
from stage import Stage, new_process

from headgate.oversight import Notify
from headgate.watch import Notified
from tasks.audit import audit_all
from tasks.notify import notify
from tasks.promote import promote
from tasks.record import Desk

__all__ = ["inbox"]
LINE = Notify(audience="risk team", channel="env:HEADGATE_RISK", events=("promoted",))


@pytest.fixture
def planned(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    real = Desk.policy
    monkeypatch.setattr(Desk, "policy", lambda self, r: real(self, r).model_copy(update={"notify": (LINE,)}))
    assert promote.fn(stage.ready) == ()
    return stage


def outcomes(stage: Stage) -> list[Notified]:
    entries = stage.desk.ledger().entries
    return [Notified.model_validate(dict(e.body)) for e in entries if e.kind == "notified"]


def tell(stage: Stage) -> int:
    failed: int = notify.fn(stage.toy.home, stage.toy.name)
    return failed


def test_people_are_told_once_and_the_ledger_says_so(
    planned: Stage, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_RISK", inbox.address)
    assert (tell(planned), tell(planned)) == (0, 0)
    assert [m["title"] for m in inbox.got] == ["toy-1 promoted", "toy-2 promoted"]
    assert "'champion' is version 2" in inbox.got[1]["message"]
    assert {(o.outcome, o.audience, o.event) for o in outcomes(planned)} == {("sent", "risk team", "promoted")}
    assert audit_all(planned.toy.home)[planned.toy.name].anomalies == ()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "no such environment variable"),
        ("nonsense", "no address that Apprise knows"),
        (f"json://127.0.0.1:9/{SECRET}", "the channel refused it, or does not answer"),
    ],
)
def test_a_dead_channel_is_recorded_and_stops_nothing(
    planned: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str | None, said: str
) -> None:
    if address:
        monkeypatch.setenv("HEADGATE_RISK", address)
    assert tell(planned) == 2
    assert {(o.outcome, o.detail) for o in outcomes(planned)} == {("failed", said)}
    tell(planned), tell(planned)
    assert tell(planned) == 0, "tried three times, and no more"
    assert SECRET not in caplog.text
    assert SECRET.encode() not in b"".join(planned.desk.ledger().stored)


def test_a_channel_that_comes_back_is_told_what_it_missed(
    planned: Stage, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_RISK", inbox.address)
    inbox.status = 500
    assert tell(planned) == 2
    inbox.status = 200
    assert tell(planned) == 0
    assert [o.outcome for o in outcomes(planned)] == ["failed", "failed", "sent", "sent"]


def test_whatever_a_channel_raises_is_named_by_its_kind_alone(planned: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    import apprise

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"POST https://{SECRET}")

    monkeypatch.setenv("HEADGATE_RISK", "json://127.0.0.1/")
    monkeypatch.setattr(apprise.Apprise, "notify", fail)
    assert tell(planned) == 2
    assert {o.detail for o in outcomes(planned)} == {"RuntimeError"}


def test_where_the_ledger_cannot_be_read_nobody_is_told_and_nothing_is_raised(
    planned: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    slot = planned.toy.home / "store" / "ledger" / planned.toy.name / "000000003.json"
    slot.chmod(0o600)
    slot.write_bytes(b"{}")
    new_process()
    assert tell(planned) == 0
    assert "nobody was told about toy" in caplog.text
