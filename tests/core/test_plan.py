from __future__ import annotations

import pytest
from story_of import POLICY

from headgate.errors import BadInput
from headgate.plan import plan
from headgate.policy import SITUATIONS
from headgate.policy_file import parse
from headgate.records import Failure, Halted, record_of

POLICY_ = parse(POLICY, "of the story")


def failure(what: str, verdict: str = "FAIL") -> Failure:
    return Failure(what=what, verdict=verdict, reason="0.5 is below 0.6")


@pytest.mark.parametrize(
    ("failures", "situation", "playbook", "owner"),
    [
        # The worst failure's gate decides: its own playbook and owner, else those of the verdict and the model.
        ([failure("roc-auc")], None, "gate_failed", "modellers"),
        ([failure("roc-auc", "INCONCLUSIVE")], None, "gate_undecided", "modellers"),
        ([failure("roc-auc", "ERROR")], None, "gate_error", "modellers"),
        ([failure("latency-p99-ms", "INCONCLUSIVE")], None, "slow", "platform"),
        ([failure("latency-p99-ms", "ERROR"), failure("roc-auc")], None, "gate_failed", "modellers"),
        ([failure("roc-auc", "INCONCLUSIVE"), failure("latency-p99-ms")], None, "slow", "platform"),
        ([failure("latency-p99-ms"), failure("roc-auc")], None, "slow", "platform"),
        ([failure("roc-auc"), failure("latency-p99-ms")], None, "gate_failed", "modellers"),
        # What is no gate belongs to the model's owner; the situation says which playbook.
        ([failure("rows (training)")], "data_refused", "data_refused", "modellers"),
        ([failure("ana as risk")], "rejected", "rejected", "modellers"),
        ([failure("gates", "ERROR")], None, "gate_error", "modellers"),
        ([failure("latency-p99-ms")], "rejected", "rejected", "platform"),
    ],
)
def test_whose_turn_it_is(failures, situation, playbook, owner):
    made = plan(POLICY_, "evaluate", failures, situation=situation)
    assert (made.playbook, made.owner) == (playbook, owner)
    assert (made.next_step, *made.then) == POLICY_.playbook[playbook]
    assert made.failures == tuple(failures)
    assert made.step == "evaluate"


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (["INCONCLUSIVE", "ERROR"], "ERROR"),
        (["FAIL", "ERROR"], "FAIL"),
        (["INCONCLUSIVE", "PASS"], "INCONCLUSIVE"),
    ],
)
def test_the_verdict_of_a_halt_is_the_worst(verdicts, worst):
    assert plan(POLICY_, "x", [failure("roc-auc", v) for v in verdicts]).verdict.name == worst


@pytest.mark.parametrize("failures", [[], [failure("roc-auc", "PASS")]])
def test_a_halt_without_a_reason_is_refused(failures):
    with pytest.raises(BadInput, match="nothing that failed"):
        plan(POLICY_, "evaluate", failures, situation="rejected")


@pytest.mark.parametrize("verdict", ["INCONCLUSIVE", "ERROR", "FAIL"])
def test_every_verdict_has_a_playbook_in_every_policy(verdict):
    assert plan(POLICY_, "evaluate", [failure("roc-auc", verdict)]).playbook in SITUATIONS


def test_a_plan_survives_the_ledger():
    made = plan(POLICY_, "evaluate", [failure("roc-auc")])
    again = record_of("halted", made.model_dump(mode="json"))
    assert isinstance(again, Halted)
    assert again == made
    assert again.then == ("release again",)
