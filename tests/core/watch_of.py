"""A version in use in memory: a release whose policy says how it is watched, and looks at it, healthy or not."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import numpy as np
from story_of import DIGEST, POLICY, Book, approve, promote, take, tallied, time_at
from tallies import binary

from headgate.alarm import AlarmClosed, Alarmed, AlarmOverdue, Monitored, StepTaken
from headgate.cells import Cells, of_numbers, of_texts
from headgate.entry import moment
from headgate.mandate import Mandate, in_use_since, mandate
from headgate.members import Seen
from headgate.profile import SCORE, Distribution, Profile, Reference
from headgate.record import Record
from headgate.records import KINDS
from headgate.tally import Tally
from headgate.vigil import FIRST_AID, PLAN, Vigil, vigil

MONITORING = b"""
[monitoring]
owner = "watchers"
every_minutes = 30
label_delay_days = 1.0
min_rows = 100

[[monitoring.check]]
name = "inputs"
watches = "inputs"
of = ["age", "sex"]
max = 0.2
window_hours = 24.0
severity = "warning"
playbook = "slow"

[[monitoring.check]]
name = "scores"
watches = "scores"
max = 0.2
window_hours = 24.0
severity = "warning"
playbook = "slow"

[[monitoring.check]]
name = "ranks"
watches = "performance"
of = ["roc_auc"]
slices = ["sex"]
min = 0.6
window_hours = 24.0
severity = "incident"
playbook = "gate_failed"
response = "retreat"

[[monitoring.check]]
name = "slow"
watches = "latency"
max = 50.0
window_hours = 1.0
severity = "warning"
playbook = "slow"

[[monitoring.check]]
name = "fails"
watches = "failures"
max = 0.05
window_hours = 1.0
severity = "incident"
playbook = "slow"

[[monitoring.check]]
name = "used"
watches = "volume"
min = 50.0
window_hours = 1.0
severity = "warning"
playbook = "slow"

[incidents]
owner = "on-call"
contact = "the bell"
respond_hours = 2.0
tell = ["the board"]
drill_days = 90
"""
WATCHED = POLICY + MONITORING
SINCE = "2026-06-01T12:00:00Z"
FAMILY = 7
"""age, sex, score, roc_auc of f and of m, latency, failures."""


@functools.cache
def reference() -> Reference:
    """Of 4,000 rows: ages with a third of them at 0, two sexes, uniform scores."""
    random = np.random.default_rng(1)
    ages = np.where(random.random(4_000) < 1 / 3, 0.0, random.normal(40, 10, 4_000)).tolist()
    sexes = random.choice(["f", "m"], 4_000).tolist()
    scores = random.random(4_000).tolist()
    columns = {"age": (of_numbers(ages), ages), "sex": (of_texts(sexes), sexes)}
    return Reference(
        version=1,
        evaluation=DIGEST,
        rows=4_000,
        inputs={name: spread(cells, values) for name, (cells, values) in columns.items()},
        scores={SCORE: spread(of_numbers(scores), scores)},
    )


def spread(cells: Cells, values: list[Any]) -> Distribution:
    return Distribution(cells=cells, counts=cells.counts(values))


@functools.cache
def _promoted() -> Book:
    return promote(approve(take(Book(WATCHED), "tiny-1"), "tiny-1"), "tiny-1")


def in_use() -> Book:
    """Version 1 is live, by a policy that says how it is watched."""
    return _promoted().copy()


def known(book: Book | None = None) -> Mandate:
    book = book or _promoted()
    return mandate(book.release("tiny-1"), book.evidence.__getitem__)


def drawn(random: np.random.Generator, n: int, counts: tuple[int, ...], shift: float = 0.0) -> tuple[int, ...]:
    """So many rows from a distribution, of which a share has moved into the first cell from the others."""
    share = np.asarray(counts) / sum(counts)
    share = share * (1 - shift / (1 - share[0]))
    share[0] += 1 - share.sum()
    return tuple(random.multinomial(n, share).tolist())


def window(  # what may be wrong with it
    check: str, until: str, *, seed: int = 1, n: int = 2_000, moved: float = 0.0, failed: float = 0.0, slow: float = 0.0
) -> Profile:
    """What a healthy version shows in the window of a check, but for what is asked otherwise."""
    random, known_ = np.random.default_rng(seed), known()
    asked = known_.check(check)
    assert asked is not None
    end = moment(until) - timedelta(days=known_.delay(asked))
    late = int(random.binomial(n, slow))
    return Profile(
        version=1,
        since=spelled(end - timedelta(hours=asked.window_hours)),
        until=spelled(end),
        requests=n,
        failures=int(random.binomial(n, failed)),
        inputs={c: drawn(random, n, d.counts, moved) for c, d in reference().inputs.items()},
        scores={c: drawn(random, n, d.counts) for c, d in reference().scores.items()},
        latencies=((600, n - late), (1500, late)) if late else ((600, n),),
        labelled=n if asked.watches == "performance" else None,
    )


def spelled(at: Any) -> str:
    return str(at.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


def labelled(*, seed: int = 2, rows: int = 2_000, harmed: bool = False) -> Tally:
    """A tally of rows whose outcomes came; `harmed`: scores of women say nothing."""
    random = np.random.default_rng(seed)
    scores, sex = random.random(rows), random.choice(["f", "m"], rows)
    labels = (random.random(rows) < scores).astype(int)
    if harmed:
        labels[sex == "f"] = random.integers(0, 2, int((sex == "f").sum()))
    return binary(labels, scores, {"sex": sex})


def seen(until: str, *, harmed: bool = False, seed: int = 1, **wrong: Any) -> dict[str, Seen]:
    """What every check counts."""
    found = {c.name: Seen(window(c.name, until, seed=seed, **wrong)) for c in known().checks}
    found["ranks"] = Seen(window("ranks", until, seed=seed), labelled(harmed=harmed, seed=seed))
    return found


def judged(until: str = "2026-07-01T14:00:00.000Z", look: int = 1, **wrong: Any) -> Vigil:
    given = seen(until, **wrong)
    return vigil(known(), reference(), tallied(champion=False), given, look=look, since=SINCE, until=until)


def say(book: Book, record: Record, minutes: float | None = None) -> int:
    book.tell(None, KINDS[type(record)], record.model_dump(mode="json"), minutes=minutes)
    return book.ledger.size - 1


def looked(book: Book, given: dict[str, Seen] | None = None, **wrong: Any) -> Vigil:
    """A look, recorded with all its evidence."""
    mandate_, until = known(book), time_at(book.ledger.size).replace("Z", ".000Z")
    last = book.state.looks.get(1)
    given = seen(until, **wrong) if given is None else given
    look = (last.look if last else 0) + 1
    since = in_use_since(1, book.state.aliases, book.ledger.entries)
    found = vigil(mandate_, reference(), tallied(champion=False), given, look=look, since=since, until=until)
    for part in (p for each in given.values() for p in (each.profile, each.tally) if p is not None):
        book.put(part.to_bytes())
    say(book, monitored(book, mandate_, found))
    return found


def monitored(book: Book, mandate_: Mandate, found: Vigil, **changes: Any) -> Monitored:
    made = {
        "version": 1,
        "alias": "champion",
        "look": found.look,
        "plan": mandate_.plan,
        "incidents": mandate_.incidents,
        "until": found.until,
        "due": spelled(moment(found.until) + timedelta(minutes=mandate_.every_minutes)),
        "verdict": found.verdict,
        "findings": book.put(found.to_bytes()),
        "reference": book.put(reference().to_bytes()) if found.reference else None,
    }
    return Monitored(**{**made, **changes})


def alarmed(book: Book, found: Vigil, check: str, /, **changes: Any) -> Alarmed:
    """The alarm that a look calls for."""
    mandate_, look = known(book), book.state.looks[1]
    asked = mandate_.check(check)
    severity = asked.severity if asked else "incident"
    made = {
        "version": 1,
        "release": "tiny-1",
        "check": check,
        "severity": severity,
        "playbook": asked.playbook if asked else FIRST_AID,
        "response": asked.response if asked else "tell",
        "reason": found.reason(check),
        "plan": mandate_.plan,
        "incidents": mandate_.incidents,
        "findings": look.findings,
        "respond_by": mandate_.respond_by(look.until) if severity == "incident" else None,
    }
    return Alarmed(**{**made, **changes})


def stepped(book: Book, alarm: int, step: int = 1, /, **changes: Any) -> StepTaken:
    steps = known(book).steps(book.state.alarms[alarm].record.playbook)
    made = {"alarm": alarm, "step": step, "of": steps[step - 1], "who": "olga", "note": "did it"}
    return StepTaken(**{**made, **changes})


def overdue(book: Book, alarm: int) -> AlarmOverdue:
    said = book.state.alarms[alarm].record
    return AlarmOverdue(alarm=alarm, release=said.release, check=said.check, respond_by=str(said.respond_by))


def closed(alarm: int, check: str, who: str | None = "olga") -> AlarmClosed:
    return AlarmClosed(alarm=alarm, check=check, who=who, reason="it is over")


def tampered_plan() -> dict[str, Seen]:
    return {PLAN: Seen(lack="monitoring-plan.json is missing")}
