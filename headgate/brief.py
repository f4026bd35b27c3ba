"""The brief: the page on which people decide about a release that waits for them. All of it is derived."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from headgate.approval import Statement, as_asked, command, namespace, parts_of, statement
from headgate.card import confidence, demand, omissions, waiver_section, worst_first
from headgate.excuse import headline
from headgate.judgement import Judged, Judgement
from headgate.ledger import Ledger
from headgate.markdown import bullets, escaped, fenced, table
from headgate.policy import Policy
from headgate.records import Registered, Requested
from headgate.release import Release
from headgate.revision import changes
from headgate.signers import AllowedSigners

MOST_PEOPLE = 5
"""Commands shown per role. More people sign by the form, which shows each their own."""

_PAIRED = ("champion", "relative")


def _lines(*said: str) -> str:
    # One line each: Prefect shows a line break in a paragraph as one.
    return "\n".join(said)


_BY_FORM = _lines(
    "1. Read what follows. What is behind it is linked below.",
    "2. Sign: copy the command below that bears your name and run it where your key is. It prints a signature. "
    "Whoever rejects or gives a reason leaves the signature empty the first time: text and command come back.",
    "3. Answer: on the run's page choose **Resume** (in Prefect's V2 pages in the menu **⋮** at the top right), fill "
    "in the form and submit it. What does not count is no harm: the form comes back and says what was wrong.",
)
_FORM = _lines(
    "Run the command under your name where your key is, and paste what it prints as the signature. To reject, or to "
    "give a reason, submit once without a signature: the form comes back with your text and its command. The evidence, "
    "and all commands again, are on this run's page under *Artifacts*.",
)
_BY_TERMINAL = _lines(
    "Read what follows, then answer in a terminal; with the last approval the release goes on. `--reject` and "
    "`--reason` decline, and `--show` prints the text for a key that is elsewhere: see `headgate approve --help`.",
)


def brief(
    policy: Policy,
    release: Release,
    judged: Judged,
    *,
    before: tuple[str, Policy] | None,
    links: Mapping[str, str],
    commands: str,
    form: bool,
    above: str = "",
) -> str:
    """The whole page.

    Args:
        before: the release that is live, and the policy that it was judged by; None where nothing is live.
        links: where to look further, by what is found there. commands: of `signing`.
        form: whether the run that shows this page takes answers itself.
        above: of `returned`, where an answer was no use.
    """
    asked = release.question
    version = release.step(Registered).version
    return "\n\n".join(
        (
            f"# {escaped(release.id)} waits for your decision",
            *([above] if above else []),
            f"Version {version} of {escaped(policy.model.name)}: {escaped(policy.model.purpose)}\n\nAsked for by "
            f"{escaped(release.step(Requested).requester)}. Answers count until **{asked.expires}**; silence is no "
            f"consent.",
            *_stage(release),
            _owed(release),
            f"## How to answer\n\n{_BY_FORM if form else _in_terminal(release)}",
            *([waiver_section(judged, release.waivers)] if release.waivers else []),
            f"## Verdict: {escaped(headline(judged, release.waivers))}\n\n{_verdicts(judged)}",
            f"## Against the champion\n\n{_compared(judged, before)}",
            f"## What the policy demands otherwise\n\n{_revised(policy, before)}",
            f"## Look further\n\n{_linked(links)}",
            *([f"## To sign\n\n{commands}\n"] if form else []),
        )
    )


def signing(ledger: Ledger, release: Release, signers: AllowedSigners, at: datetime) -> str:
    """For each person who may still agree, the text of a plain approval with the command that signs it."""
    asked = release.step(Requested)
    shown = []
    for role in release.missing:
        people = [p for p in signers.people(namespace(role), at) if not any(parts_of(p, asked, signers))]
        spoken = (
            statement(as_asked(ledger, release), release, person=person, role=role, decision="approve")
            for person in people[:MOST_PEOPLE]
        )
        shown += [block(one) for one in spoken] or [f"**{escaped(role)}**: allowed_signers has nobody who may sign."]
    return "\n\n".join(shown)


def block(spoken: Statement) -> str:
    """A statement as a command that signs it, under the name and role of who would."""
    said = {"approve": "approves", "reject": "rejects"}.get(spoken.decision, spoken.decision)
    title = f"**{escaped(spoken.person)} {said} as {escaped(spoken.role)}**"
    return f"{title}\n\n{fenced(command(spoken, namespace(spoken.role)))}"


def opened(release: Release, commands: str) -> str:
    """What a form says that is shown for the first time."""
    return f"{_owed(release)}\n\n{_FORM}\n\n{commands}"


def _in_terminal(release: Release) -> str:
    lines = (f"headgate approve {release.id} --role {role} --key ~/.ssh/id_ed25519" for role in release.missing)
    return f"{_BY_TERMINAL}\n\n{fenced(chr(10).join(lines))}"


def _stage(release: Release) -> Iterable[str]:
    """What a stage is asked about, and how those before it went."""
    stage = release.question.stage
    if stage is None:
        return
    rows = [
        (terms.name, reached.time, f"{reached.soaked.minutes:,.0f}", f"{reached.soaked.requests:,}")
        for terms, reached in zip(release.rollout, release.reached, strict=False)
        if reached.soaked is not None
    ]
    due = next(terms for terms in release.rollout if terms.name == stage)
    yield f"Asked is about the stage **{escaped(stage)}**, which serves {escaped(due.who)}. Before it:"
    yield table(("stage", "since", "minutes", "requests answered"), rows)


def _owed(release: Release) -> str:
    clicks = release.question.clicks
    rows = [(role, n, "a click" if role in clicks else "a signature") for role, n in release.missing.items()]
    given = [(f"{a.record.person} as {a.record.role}", a.time) for a in release.agreed]
    said = f"\n\n{table(('agreed already', 'at'), given)}" if given else ""
    return f"{table(('still needed from', 'people', 'by'), rows)}{said}"


def _verdicts(judged: Judged) -> str:
    header = ("verdict", "gate", "rows", "value", "one-sided bounds", "demanded", "n")
    rows = [
        (j.verdict.name, j.gate, j.slice, _number(j.value), _bounds(j), demand(j), f"{j.n:,}")
        for j in worst_first(judged)
    ]
    note = f"PASS: the bound on the unsafe side is inside the demand, at {confidence(judged)} confidence each."
    return f"{table(header, rows)}\n\n{note}\n{omissions(judged)}"


def _compared(judged: Judged, before: tuple[str, Policy] | None) -> str:
    paired = [j for j in judged.judgements if j.form in _PAIRED]
    if before is None or not paired:
        why = "Nothing is live yet." if before is None else "The policy has no gate that compares with it."
        return f"{why} The demands above are absolute."
    note = f"Candidate minus champion ({escaped(before[0])}), on the same rows, paired."
    header = ("verdict", "gate", "metric", "rows", "difference", "one-sided bounds", "demanded")
    return f"{note}\n\n{table(header, map(_paired_row, paired))}"


def _paired_row(j: Judgement) -> Sequence[object]:
    sign = "+" if j.value is not None and j.value > 0 else ""
    return (j.verdict.name, j.gate, j.metric, j.slice, f"{sign}{_number(j.value)}", _bounds(j), demand(j))


def _bounds(j: Judgement) -> str:
    return f"{_number(j.lower)} to {_number(j.upper)}"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


def _revised(policy: Policy, before: tuple[str, Policy] | None) -> str:
    if before is None:
        return "No release was promoted before: every demand is new."
    found = changes(before[1], policy)
    if not found:
        return f"Nothing: it is the policy that {escaped(before[0])} was judged by."
    rows = [(c.path, _given(c.was), _given(c.now)) for c in found]
    return f"Since {escaped(before[0])}:\n\n{table(('field', 'was', 'is'), rows)}"


def _given(value: str | None) -> str:
    return "not given" if value is None else value


def _linked(links: Mapping[str, str]) -> str:
    return "\n".join(_link(what, place) for what, place in links.items())


def _link(what: str, place: str) -> str:
    return f"- [{escaped(what)}]({place})" if place.startswith("http") else f"- {escaped(what)}: `{place}`"


def returned(problems: Iterable[str], again: str) -> str:
    """What a form says first that comes back: nothing was recorded, why, and what to sign instead."""
    return f"## Not recorded\n{bullets(problems)}\n\n{again}\n\n---"
