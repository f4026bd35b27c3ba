"""People are told through notification blocks that a real Prefect server keeps, with their secrets."""

from __future__ import annotations

import pytest
from inbox import SECRET, Inbox, inbox
from prefect.blocks.core import Block
from prefect.blocks.notifications import CustomWebhookNotificationBlock, MattermostWebhook
from prefect.blocks.system import Secret
from stage import Stage

from headgate.oversight import Notify
from headgate.watch import Notified
from tasks.notify import notify
from tasks.promote import promote
from tasks.record import Desk

__all__ = ["inbox"]


def told(stage: Stage, monkeypatch: pytest.MonkeyPatch, channel: str) -> list[Notified]:
    """Promote, and tell a block about it; how that went."""
    line, real = Notify(audience="branches", channel=channel, events=("promoted",), template="plain"), Desk.policy
    monkeypatch.setattr(Desk, "policy", lambda self, r: real(self, r).model_copy(update={"notify": (line,)}))
    assert promote.fn(stage.ready) == ()
    notify.fn(stage.toy.home, stage.toy.name)
    entries = stage.desk.ledger().entries
    return [Notified.model_validate(dict(e.body)) for e in entries if e.kind == "notified"]


def webhook(server: Inbox) -> Block:
    return CustomWebhookNotificationBlock(
        name="branches",
        url=f"http://127.0.0.1:{server.server_port}/",
        json_data={"title": "{{subject}}", "message": "{{body}}", "token": "{{token}}"},
        secrets={"token": SECRET},
    )


def chat(server: Inbox) -> Block:
    return MattermostWebhook(hostname="127.0.0.1", port=server.server_port, token=SECRET.replace("-", "") * 3)


@pytest.mark.parametrize("made", [webhook, chat])
def test_a_block_is_sent_what_happened_and_its_secret_stays_with_it(
    stage: Stage, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, made: object
) -> None:
    block = made(inbox)  # type: ignore[operator]
    block.save("branches", overwrite=True)
    found = told(stage, monkeypatch, f"block:{block.get_block_type_slug()}/branches")
    assert [(n.outcome, n.detail) for n in found] == [("sent", ""), ("sent", "")]
    assert len(inbox.got) == 2
    assert "a new version is in use" in str(inbox.got[1])
    assert SECRET.replace("-", "").encode() not in b"".join(stage.desk.ledger().stored).replace(b"-", b"")


@pytest.mark.parametrize("status", [500, 403])
def test_a_block_that_is_refused_is_recorded_as_failed(
    stage: Stage, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    inbox.status = status
    webhook(inbox).save("refused", overwrite=True)  # type: ignore[attr-defined]
    found = told(stage, monkeypatch, "block:custom-webhook/refused")
    assert {(n.outcome, n.detail) for n in found} == {("failed", "HTTPStatusError")}


def test_a_block_that_is_none_or_no_channel_is_recorded_as_failed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {n.outcome for n in told(stage, monkeypatch, "block:custom-webhook/missing")} == {"failed"}
    Secret(value=SECRET).save("a-secret", overwrite=True)  # type: ignore[call-arg]
    notify_again = told(stage, monkeypatch, "block:secret/a-secret")[2:]
    assert {n.detail for n in notify_again} == {"a Secret"}
