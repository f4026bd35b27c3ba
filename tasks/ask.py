"""Ask: a suspended run whose form people answer in the Prefect UI.

What comes back through a form is believed no more than what comes by post: it counts by its signature, or by the
policy's leave to click, and only what the ledger then says moves anything. Plain fields: whatever is wrong with them is
said in the next form, and fails no run.
"""

from __future__ import annotations

from copy import copy
from datetime import timedelta
from itertools import count
from typing import Any, Literal

from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from pydantic import Field, ValidationError, create_model

from headgate.approval import Statement, as_asked, moment, statement
from headgate.brief import block, opened, returned
from headgate.canonical import digest_of
from headgate.errors import BadInput, Tampered
from headgate.records import ApprovalRequested
from headgate.release import Release
from tasks.approve import record_answer
from tasks.brief import commands, page
from tasks.record import Case, Desk, now, standing

LONGER = timedelta(hours=1)
"""How much longer than for an answer the run waits: what expires is halted by the guard, and the run closed."""

_WHAT = "What to decide on, and how to answer."
_SHORTEST = timedelta(minutes=1)


class Answer(RunInput):
    """What the form asks. The decision has no default: without one, no run goes on."""

    decision: Literal["approve", "reject"] = Field(title="Decision")
    name: str = Field(title="Your name", description="As it stands in allowed_signers.")
    role: str = Field(title="Your role", description="In which you answer.")
    reason: str = Field("", title="Reason", description="Part of what you sign. To reject, it is needed.")
    signature: str = Field("", title="Signature", description="What the command printed, from BEGIN to END.")


def asked(case: Case) -> bool:
    """Suspend this run until its release waits for people no more, and take what they answer by its form.

    When a form is submitted the run begins again, gets here again, and reads the answers from the first one on: what
    is recorded already is passed over, and what is wrong comes back in the next form.

    Returns:
        Whether the release goes on now; False without suspending if it waits for nobody, or if nobody could resume this
        run because it has no deployment.
    """
    if not deployment.id or standing(case).stage != "waiting":
        return False
    answered = _answered()
    given: Answer | None = None
    problems: tuple[str, ...] = ()
    # An answer is about one question: a click on an earlier one is no answer to this one.
    question = standing(case).question
    for number in count():
        key = f"answer-{number}" if question.stage is None else f"answer-{question.stage}-{number}"
        form = Answer if key in answered else _form(case, given, problems)
        given = _suspended(case, form, key)
        problems = take(case, given)
        if not _still(case, question):
            return True
    raise AssertionError  # pragma: no cover - it counts for ever


def _still(case: Case, question: ApprovalRequested) -> bool:
    """Whether the release still waits for an answer to this question."""
    release = standing(case)
    return release.stage == "waiting" and release.question == question


def agreed(case: Case, *, who: str, role: str, reason: str, signature: str) -> tuple[str, ...]:
    """Take an approval that came with another form; why it does not count, and then a page shows how to sign."""
    given = Answer(decision="approve", name=who, role=role, reason=reason, signature=signature)
    problems = take(case, given)
    if problems:
        desk = Desk(case.home, case.model)
        above = returned(problems, _again(desk, desk.release(case.release), given))
        create_markdown_artifact(key=case.artifact("answer"), markdown=page(case, form=True, above=above))
    return problems


def waits(case: Case) -> bool:
    """Whether this run was suspended before, all steps done, and its release still waits for people."""
    return bool(_answered()) and standing(case).stage == "waiting"


def take(case: Case, given: Answer | None) -> tuple[str, ...]:
    """Record an answer, if it counts and is not recorded yet.

    Returns:
        Why it does not count; nothing if it does.
    """
    if given is None:
        return ("the run was resumed without an answer that can be read",)
    desk = Desk(case.home, case.model)
    release = desk.release(case.release)
    try:
        text = _spoken(desk, release, given).text()
        known = next((a for a in release.answers if a.record.statement == digest_of(text)), None)
        if known is None:
            record_answer(case, text, given.signature.strip().encode() or None)
        elif known.withdrawn is not None:
            return (f"this very text was taken back in slot {known.withdrawn}; give a reason, so that it is another",)
    except (BadInput, Tampered) as error:  # a ledger that was tampered with raises again where it is read next
        return (error.got,)
    return ()


def _spoken(desk: Desk, release: Release, given: Answer) -> Statement:
    ledger = as_asked(desk.ledger(), release)
    said = {"person": given.name.strip(), "role": given.role.strip(), "reason": given.reason.strip()}
    return statement(ledger, release, decision=given.decision, **said)


def _form(case: Case, given: Answer | None, problems: tuple[str, ...]) -> type[Answer]:
    """The next form, once the page beside it is shown. What was no use comes first on both."""
    desk = Desk(case.home, case.model)
    ledger = desk.ledger()
    release = desk.state(ledger).release(case.release)
    above = returned(problems, _again(desk, release, given)) if problems else ""
    shown = page(case, form=True, above=above)
    create_markdown_artifact(key=case.artifact("approve"), markdown=shown, description=_WHAT)
    told = opened(release, commands(case, ledger, release))
    form = _shaped(release, given if problems else None)
    return form.with_initial_data(description=f"{above}\n\n{told}".strip())


def _again(desk: Desk, release: Release, given: Answer | None) -> str:
    try:
        return "" if given is None else block(_spoken(desk, release, given))
    except (BadInput, Tampered):
        return ""


def _shaped(release: Release, given: Answer | None) -> type[Answer]:
    """The form, filled in with what was typed before, but for the decision and the signature."""
    fields = {name: copy(Answer.model_fields[name]) for name in ("name", "role", "reason")}
    fields["role"].json_schema_extra = {"enum": list(release.speaking)}
    for name, field in fields.items():
        field.default = field.default if given is None else getattr(given, name)
    made: Any = {name: (str, field) for name, field in fields.items()}
    return create_model("Answer", __base__=Answer, **made)


def _suspended(case: Case, form: type[Answer], key: str) -> Answer | None:
    """The answer to a form; None if there is none that can be read. Until there is one, this process ends here."""
    until = moment(standing(case).question.expires) + LONGER
    patience = max(until - moment(now()), _SHORTEST)
    try:
        return suspend_flow_run(wait_for_input=form, key=key, timeout=int(patience.total_seconds()))
    except (ValidationError, TypeError):  # written by an API client, or deleted
        return None


def _answered() -> set[str]:
    """The keys of the forms that this run was suspended with before."""
    context = FlowRunContext.get()
    run = None if context is None else context.flow_run
    return set() if run is None else set(run.empirical_policy.pause_keys or ())
