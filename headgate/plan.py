"""The corrective plan of a halted release: what failed, who owns it, and which step of the playbook comes next."""

from __future__ import annotations

from collections.abc import Sequence

from headgate.errors import BadInput
from headgate.policy import Policy
from headgate.records import Failure, Halted
from headgate.verdict import Verdict

_SITUATIONS = {
    Verdict.FAIL: "gate_failed",
    Verdict.INCONCLUSIVE: "gate_undecided",
    Verdict.ERROR: "gate_error",
}


def plan(policy: Policy, step: str, failures: Sequence[Failure], *, situation: str | None = None) -> Halted:
    """The record of a halt at `step`.

    The playbook and the owner are those of the first gate among the worst failures, where it names its own; else the
    playbook is the one of the situation and the owner is the model's.

    Args:
        failures: what did not pass, at least one.
        situation: the playbook's key where the verdict alone does not tell it, e.g. `data_refused`.

    Raises:
        BadInput: nothing failed.
    """
    worst = max(failures, key=lambda f: f.verdict, default=None)
    if worst is None or worst.verdict is Verdict.PASS:
        raise _no_reason(step)
    gate = next((g for g in policy.gate if g.label == worst.what), None)
    playbook = situation or (gate.playbook if gate and gate.playbook else _SITUATIONS[worst.verdict])
    steps = policy.playbook[playbook]
    return Halted(
        step=step,
        verdict=worst.verdict,
        failures=tuple(failures),
        owner=gate.owner if gate and gate.owner else policy.model.owner,
        playbook=playbook,
        next_step=steps[0],
        then=steps[1:],
    )


def _no_reason(step: str) -> BadInput:
    return BadInput(
        f"halt at {step}",
        got="nothing that failed",
        expected="at least one failure with a verdict that is not PASS",
        next_step="read the verdict in the ledger, and record what it rests on",
    )
