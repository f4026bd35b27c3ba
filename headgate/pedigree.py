"""The lineage of a version as a picture: data, training, version, verdicts, approvals, alias and traffic; as SVG.

One box per thing, its full digest in the hint; what has not happened is dashed. What decides is coloured by what it
said, and says it in words too.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator
from dataclasses import dataclass

from headgate.canonical import short
from headgate.facets import files_digest
from headgate.judgement import Judged
from headgate.markdown import plain
from headgate.phase import Terms
from headgate.records import (
    ApprovalRequested,
    Evaluated,
    Packaged,
    Registered,
    Rejected,
    Requested,
    Snapshot,
    Table,
    Trained,
    Validated,
)
from headgate.release import Reached, Release
from headgate.verdict import Verdict

PEDIGREE = "lineage.svg"
"""The file that draws it, in the package and in MLflow."""

_COLOUR = {
    Verdict.PASS: "#2e7d32",
    Verdict.INCONCLUSIVE: "#b26a00",
    Verdict.ERROR: "#5f6368",
    Verdict.FAIL: "#c62828",
}
_GREY, _INK, _EDGE = "#5f6368", "#202124", "#9aa0a6"
# MLflow does not shrink a picture: six columns, no wider than a version's description beside an open assistant.
_WIDTH, _LEFT, _TOP = 752, 8, 92
_BOX, _GAP, _TALL, _DOWN = 106, 20, 74, 18
_MOST = 16
"""The most characters of a line in a box; the whole text is in the hint."""
_TIP = (
    f'<defs><marker id="tip" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
    f'<path d="M0 0L8 4L0 8z" fill="{_EDGE}"/></marker></defs>'
)
_COLUMNS = ("data", "training", "version", "verdicts", "approvals", "alias")


@dataclass(frozen=True)
class _Box:
    """A thing: its name, what is said of it, its hint, its colour; dashed if it has not happened.

    Attributes:
        leads: of an approval, the alias that it leads to, counted from 0.
    """

    name: str
    said: tuple[str, ...] = ()
    hint: str = ""
    colour: str = _INK
    dashed: bool = False

    column: int = 0
    row: int = 0
    leads: int = 0

    @property
    def x(self) -> int:
        return _LEFT + self.column * (_BOX + _GAP)

    @property
    def y(self) -> int:
        return _TOP + self.row * (_TALL + _DOWN)

    @property
    def middle(self) -> int:
        return self.y + _TALL // 2


@dataclass(frozen=True)
class _Boxes:
    training: _Box
    evaluation: _Box
    run: _Box
    gate: _Box
    version: _Box
    champion: _Box | None
    verdicts: _Box
    approvals: tuple[_Box, ...]
    aliases: tuple[_Box, ...]

    def all(self) -> Iterator[_Box]:
        yield from (self.training, self.evaluation, self.run, self.gate, self.version, self.verdicts)
        yield from (*self.aliases, *self.approvals)
        if self.champion is not None:
            yield self.champion


def pedigree(model: str, release: Release, judged: Judged | None = None, stages: tuple[Terms, ...] = ()) -> str:
    """An SVG document of where a release's version comes from, and how far it came.

    Args:
        judged: what the gates said, once they did.
        stages: of the rollout, each drawn as its alias and whom it serves; without them there is one alias.
    """
    boxes = _boxes(model, release, judged, stages)
    columns = (*_COLUMNS[:-1], f"{_COLUMNS[-1]}, traffic") if stages else _COLUMNS
    height = max(box.y for box in boxes.all()) + _TALL + 24
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="11.5" role="img">',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="8" y="26" font-size="17" font-weight="bold">{_text(_title(release))}</text>',
            f'<text x="8" y="46" fill="{_GREY}" font-size="12">{_text(_subtitle(release))}</text>',
            *(_line(_Box(name, column=n).x + 8, _TOP - 10, name, _GREY) for n, name in enumerate(columns)),
            _TIP,
            *_arrows(boxes),
            *(line for box in boxes.all() for line in _drawn(box)),
            "</svg>\n",
        )
    )


def image(svg: str) -> str:
    """The picture within a Markdown page, for where no file can stand beside it."""
    return picture(f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}")


def picture(place: str) -> str:
    """The picture in a Markdown page, from where it is kept."""
    return f"![Where the version comes from: rows, training, verdicts, approvals, alias]({place})"


def _title(release: Release) -> str:
    # The picture in a package is drawn while its release still runs, and read long after.
    return f"{release.id}: {'before approval' if release.stage == 'running' else release.stage}"


def _subtitle(release: Release) -> str:
    asked, packaged = release.step(Requested), release.find(Packaged)
    package = "" if packaged is None else f"; package {short(packaged.package)}"
    return f"Asked for by {asked.requester} at {release.opened}, under policy {short(asked.policy)}{package}."


def _boxes(model: str, release: Release, judged: Judged | None, stages: tuple[Terms, ...]) -> _Boxes:
    rows, champion = release.find(Snapshot), release.step(Requested).champion
    return _Boxes(
        training=_rows("training rows", None if rows is None else rows.training, 0),
        evaluation=_rows("evaluation rows", None if rows is None else rows.evaluation, 1),
        run=_run(release),
        gate=_gate(release.find(Validated)),
        version=_version(model, release.find(Registered)),
        champion=None
        if champion is None
        else _Box(f"version {champion}", ("compared with",), f"{model}/{champion}", column=2, row=1),
        verdicts=_verdicts(release, judged),
        approvals=tuple(_approvals(release)),
        aliases=_stages(release, stages) if stages and release.halted is None else (_alias(release),),
    )


def _rows(name: str, table: Table | None, row: int) -> _Box:
    if table is None:
        return _Box(name, ("not pinned yet",), dashed=True, row=row)
    said = (_count(table.rows, "row"), _count(len(table.columns), "column"), short(table.digest))
    return _Box(name, said, f"{table.origin} {table.digest}", row=row)


def _run(release: Release) -> _Box:
    trained, registered = release.find(Trained), release.find(Registered)
    if trained is None:
        return _Box("training", ("not reached",), dashed=True, column=1)
    run = "" if registered is None else f"MLflow run {registered.run}, "
    said = (_count(len(trained.features), "feature"), trained.format, short(trained.estimator))
    return _Box("training", said, f"{run}estimator {trained.estimator}", column=1)


def _gate(validated: Validated | None) -> _Box:
    if validated is None:
        return _Box("data gate", ("not reached",), dashed=True, column=1, row=1)
    verdict, report = validated.verdict, validated.report
    return _Box(f"data {verdict.name}", ("report", short(report)), report, _COLOUR[verdict], column=1, row=1)


def _version(model: str, registered: Registered | None) -> _Box:
    if registered is None:
        return _Box("version", ("not registered",), dashed=True, column=2)
    digest = files_digest(registered)
    said = (f"of {model}", _count(len(registered.files), "file"), short(digest))
    return _Box(f"version {registered.version}", said, f"{registered.source} {digest}", column=2)


def _verdicts(release: Release, judged: Judged | None) -> _Box:
    evaluated = release.find(Evaluated)
    if evaluated is None:
        return _Box("gates", ("not reached",), dashed=True, column=3)
    good = [j for j in judged.judgements if j.verdict is Verdict.PASS] if judged else []
    counted = (f"{len(good)} of {len(judged.judgements)} pass",) if judged else ()
    waived = (_count(len(release.waivers), "waiver"),) if release.waivers else ()
    name, colour = f"gates {evaluated.verdict.name}", _COLOUR[evaluated.verdict]
    return _Box(name, (*counted, *waived, short(evaluated.judged)), evaluated.judged, colour, column=3)


def _approvals(release: Release) -> Iterator[_Box]:
    row = 0
    for row, answer in enumerate(release.answers, 1):
        said, agreed = answer.record, not isinstance(answer.record, Rejected)
        told = (said.person, "agreed" if agreed else "declined", answer.time[:10])
        hint = f"{said.person}, {said.key or 'unsigned'}, slot {answer.seq}"
        colour, to = _COLOUR[Verdict.PASS if agreed else Verdict.FAIL], _leads(release, answer.stage)
        yield _Box(said.role, told, hint, colour, column=4, row=row - 1, leads=to)
    asked = release.find(ApprovalRequested) is not None
    owed = {role: f"{n} missing" for role, n in release.missing.items()} if asked else {"approvals": "not asked yet"}
    for extra, (role, what) in enumerate(owed.items()):
        about = release.asked.stage if release.asked else None
        yield _Box(role, (what,), dashed=True, column=4, row=row + extra, leads=_leads(release, about))


def _leads(release: Release, stage: str | None) -> int:
    return next((n for n, terms in enumerate(release.rollout) if terms.name == stage), 0)


def _alias(release: Release) -> _Box:
    if release.halted is not None:
        told = (f"at {release.halted.step}", "the alias stays")
        return _Box("halted", told, release.halted.owner, _COLOUR[Verdict.FAIL], column=5)
    if release.started is None:
        return _Box("alias", ("not moved yet",), dashed=True, column=5)
    moved = release.started
    old, done = "none" if moved.old is None else str(moved.old), release.promoted is not None
    told = (f"{old} → {moved.new}", "moved" if done else "being moved")
    return _Box(
        moved.alias, told, f"package {moved.package}", _COLOUR[Verdict.PASS] if done else _INK, not done, column=5
    )


def _stages(release: Release, stages: tuple[Terms, ...]) -> tuple[_Box, ...]:
    """Per stage its alias, where that moved from and to, and whom it serves."""
    return tuple(
        _stage(stage, row, release.reached[row] if row < len(release.reached) else None)
        for row, stage in enumerate(stages)
    )


def _stage(stage: Terms, row: int, reached: Reached | None) -> _Box:
    who = stage.who
    if reached is None:
        return _Box(stage.alias, ("not moved yet", who), f"stage {stage.name}: {who}", dashed=True, column=5, row=row)
    moved, soaked = reached.record, reached.soaked
    old = "none" if moved.old is None else str(moved.old)
    answered = () if soaked is None else (f"{soaked.requests:,} answered",)
    hint = f"stage {stage.name}: {who}, since {reached.time}"
    return _Box(stage.alias, (f"{old} → {moved.new}", who, *answered), hint, _COLOUR[Verdict.PASS], column=5, row=row)


def _arrows(boxes: _Boxes) -> Iterator[str]:
    gate, verdicts = boxes.gate, boxes.verdicts
    yield _across(boxes.training, boxes.run)
    yield _across(boxes.training, gate)
    yield _across(boxes.evaluation, gate)
    yield _path(f"M{gate.x + _BOX // 2} {gate.y}V{boxes.run.y + _TALL + 5}", boxes.run)
    yield _across(boxes.run, boxes.version)
    yield _across(boxes.version, verdicts)
    foot, below = verdicts.y + _TALL + 5, boxes.evaluation.y + _TALL
    yield _path(f"M{boxes.evaluation.x + _BOX // 2} {below}v12H{verdicts.x + 72}V{foot}", verdicts)
    if boxes.champion is not None:
        yield _path(f"M{boxes.champion.x + _BOX} {boxes.champion.middle}H{verdicts.x + 34}V{foot}", verdicts)
    for box in boxes.approvals:
        yield _across(verdicts, box)
        yield _across(box, boxes.aliases[min(box.leads, len(boxes.aliases) - 1)])
    for earlier, later in zip(boxes.aliases, boxes.aliases[1:], strict=False):
        yield _path(f"M{earlier.x + _BOX // 2} {earlier.y + _TALL}V{later.y - 5}", later)


def _across(left: _Box, right: _Box) -> str:
    bend = "" if left.middle == right.middle else f"H{right.x - _GAP // 2}V{right.middle}"
    return _path(f"M{left.x + _BOX} {left.middle}{bend}H{right.x - 5}", left, right)


def _path(way: str, *ends: _Box) -> str:
    dashed = ' stroke-dasharray="3 3"' if any(end.dashed for end in ends) else ""
    return f'<path d="{way}" fill="none" stroke="{_EDGE}" stroke-width="1.5"{dashed} marker-end="url(#tip)"/>'


def _drawn(box: _Box) -> Iterator[str]:
    dashed = ' stroke-dasharray="4 3"' if box.dashed else ""
    edge = _EDGE if box.dashed or box.colour == _INK else box.colour
    at = f'x="{box.x}" y="{box.y}" width="{_BOX}" height="{_TALL}" rx="5"'
    yield f"<g><title>{_text(f'{box.name}. {box.hint}'.strip('. '))}</title>"
    yield f'<rect {at} fill="white" stroke="{edge}"{dashed}/>'
    # A picture in the picture clips what is wider than expected.
    yield f'<svg x="{box.x}" y="{box.y}" width="{_BOX - 4}" height="{_TALL}">'
    yield _line(8, 18, box.name, _GREY if box.dashed else box.colour, ' font-weight="bold"')
    yield from (_line(8, 18 + 15 * n, line, _GREY) for n, line in enumerate(box.said, 1))
    yield "</svg></g>"


def _line(x: int, y: int, text: str, colour: str, more: str = "") -> str:
    cut = text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"
    return f'<text x="{x}" y="{y}" fill="{colour}"{more}>{_text(cut)}</text>'


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _text(value: str) -> str:
    return html.escape(plain(value))
