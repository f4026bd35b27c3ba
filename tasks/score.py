"""Score: what one version says of rows, and why it says nothing of some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headgate.errors import BadInput
from headgate.inquiry import Scalar
from headgate.records import Registered
from headgate.release import Release
from headgate.reply import Refusal, failed, refused
from tasks.hold import Opened, Refused, Scores

Row = Mapping[str, Scalar]


def score(opened: Opened, release: Release, rows: Sequence[Row]) -> list[Scores | Refusal]:
    """The scores of rows, in their order; one that the version does not take keeps no other from its answer."""
    found: list[Scores | Refusal] = [_checked(opened, row) for row in rows]
    fine = [at for at, each in enumerate(found) if not isinstance(each, Refusal)]
    for at, said in zip(fine, _halved(opened, release, [rows[at] for at in fine]), strict=True):
        found[at] = said
    return found


def _checked(opened: Opened, row: Row) -> Scores | Refusal:
    try:
        opened.check(row)
    except BadInput as error:
        return refused(error)
    return ()


def _halved(opened: Opened, release: Release, rows: Sequence[Row]) -> list[Scores | Refusal]:
    if not rows:
        return []
    try:
        return [*opened.ask(rows)]
    except Refused as error:
        if len(rows) == 1:
            return [refused(error, type(error.__cause__).__name__)]
        middle = len(rows) // 2
        return _halved(opened, release, rows[:middle]) + _halved(opened, release, rows[middle:])
    except BadInput:
        return [_failed(release, "NoScore")] * len(rows)
    except Exception as error:  # whatever a model raises, it is no answer
        return [_failed(release, type(error).__name__)] * len(rows)


def _failed(release: Release, what: str) -> Refusal:
    return failed(release.id.rpartition("-")[0], release.step(Registered).version, what)
