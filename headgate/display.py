"""Display: what the registry shows of a version, rendered from the ledger, and what else is found there.

A page says from which ledger it was rendered (`headgate.ledger`: its size and head), so that one that is merely old is
told from one that somebody wrote: it must be what the ledger had rendered when it was that long. A page that claims
nothing, because it was never published, is not compared. Nor is where the link to the promotion's form leads: addresses
of servers are not in the ledger, and the form believes nothing but the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from headgate.canonical import digest_of
from headgate.card import PICTURE, approvals, picture, tags
from headgate.errors import HeadgateError
from headgate.forest import forest
from headgate.judgement import Judged
from headgate.ledger import Anomaly, Ledger
from headgate.model_card import model_card
from headgate.pedigree import PEDIGREE, pedigree
from headgate.pedigree import picture as picture_of_lineage
from headgate.policy import Policy
from headgate.records import Evaluated, Registered
from headgate.release import Release
from headgate.rollout import terms
from headgate.state import State
from headgate.walk import Walk

LEDGER = "headgate.ledger"

LONGEST = 5000
"""Characters of a description that MLflow's other databases than SQLite take."""

FORM = "promote by hand"
"""The tag with the address of the promotion's form, to which the description has a link."""

_REST = "\n\nThe rest is in `package/card.md` of the run's artifacts.\n"
_ELSEWHERE = ("headgate.files", "headgate.seal", "headgate.checkpoint")
"""Tags that are verified by themselves."""


@dataclass(frozen=True)
class Display:
    """What is shown of a version: its description, empty for none, its tags, and its pictures by their names."""

    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)


def display(policy: Policy, release: Release, judged: Judged | None, size: int, head: str) -> Display:
    """What the registry is to show of a registered release.

    Args:
        judged: None if the gates were not judged yet; then only tags are shown.
        size, head: of the ledger that this is rendered from.
    """
    told = {**tags(release, judged), LEDGER: f"{size} {head}"}
    pictures = {PEDIGREE: pedigree(policy.model.name, release, judged, terms(policy))}
    if judged is None:
        return Display("", told, pictures)
    # Beside the package's own, because a halted release has none.
    drawn = forest(judged, title=f"{release.id}: {judged.verdict.name}")
    return Display(_description(policy, release, judged), told, {**pictures, PICTURE: drawn})


def _description(policy: Policy, release: Release, judged: Judged) -> str:
    run = release.step(Registered).run
    card = model_card(policy, release, judged).replace(picture(PICTURE), picture(artifact(PICTURE, run)), 1)
    return f"{card}{approvals(release)}\n{picture_of_lineage(artifact(PEDIGREE, run))}\n"


def linked(description: str, version: int, form: str | None) -> str:
    """A description that begins with a link to the promotion's form, if there is one."""
    return description if form is None else f"[Promote version {version} by hand, in Prefect]({form})\n\n{description}"


def artifact(name: str, run: str) -> str:
    """Where the registry's pages find an artifact of a run."""
    return f"get-artifact?path={name}&run_uuid={run}"


def cut(card: str, longest: int = LONGEST) -> str:
    """A card that is no longer than a database takes, ended at a line, with the place of the rest."""
    return card if len(card) <= longest else card[: longest - len(_REST)].rpartition("\n")[0] + _REST


def rendered_from(shown: Mapping[int, Display], ledger: Ledger) -> dict[int, int]:
    """By version, how long the ledger was when its page was rendered; nothing for one that names no such ledger."""
    sizes = {version: prefix_of(page.tags.get(LEDGER, ""), ledger) for version, page in shown.items()}
    return {version: size for version, size in sizes.items() if size is not None}


def prefix_of(told: str, ledger: Ledger) -> int | None:
    """How long the ledger was whose size and head are told, with a blank between; None if it never was so."""
    size, _, head = told.partition(" ")
    number = int(size) if size.isascii() and size.isdigit() and len(size) < 16 else 0
    return number if 0 < number <= ledger.size and head == digest_of(ledger.stored[number - 1]) else None


def misshown(
    walk: Walk, states: Mapping[int, State], claimed: Mapping[int, int], shown: Mapping[int, Display]
) -> Iterator[Anomaly]:
    """What the registry's pages say otherwise than the ledger had it when they were rendered.

    Args:
        states: what stood after so many entries. claimed: see `rendered_from`. shown: by version, what is found.
    """
    for version, page in sorted(shown.items()):
        told = {name for name in page.tags if name.startswith("headgate.")} - {*_ELSEWHERE}
        if not page.description and told <= {"headgate.release", "headgate.stage"}:
            continue
        walk.checked["pages"] += 1
        if version in claimed:
            yield from _compared(walk, states[claimed[version]], version, page)
        else:
            got = f"version {version}: rendered from the ledger {page.tags.get(LEDGER)!r}"
            yield Anomaly("other_page", -1, got, "a ledger that this one goes on from")


def _compared(walk: Walk, state: State, version: int, page: Display) -> Iterator[Anomaly]:
    release = state.maker(version)
    if release is None:
        yield Anomaly("other_page", -1, f"version {version} with a page", "a version that a release made")
        return
    try:
        due = _due(walk, release, page.tags[LEDGER])
    except HeadgateError as error:
        yield Anomaly("other_page", -1, f"version {version}: {error.got}", "evidence that its page can be made from")
        return
    written = linked(due.description, version, page.tags.get(FORM))
    if page.description not in (written, cut(written)):
        got = f"version {version}: a description with {digest_of(page.description.encode())}"
        yield Anomaly("other_page", -1, got, f"{digest_of(due.description.encode())}, as rendered from the ledger")
    for name in sorted(due.tags.keys() | {n for n in page.tags if n.startswith("headgate.")} - {*_ELSEWHERE}):
        if page.tags.get(name) != due.tags.get(name):
            got = f"version {version}: {name} = {page.tags.get(name)!r:.200}"
            yield Anomaly("other_page", -1, got, f"{due.tags.get(name)!r:.200}, as rendered from the ledger")
    for name, drawn in sorted(due.pictures.items()):
        if page.pictures.get(name) != drawn:
            yield Anomaly(
                "other_page", -1, f"version {version}: another {name}", "the picture as drawn from the ledger"
            )


def _due(walk: Walk, release: Release, ledger: str) -> Display:
    evaluated = release.find(Evaluated)
    judged = None if evaluated is None else Judged.model_validate_json(walk.get(evaluated.judged))
    size, _, head = ledger.partition(" ")
    return display(walk.policy(release), release, judged, int(size), head)


def misplaced(state: State, slot: int, live: Mapping[str, int | None]) -> Iterator[Anomaly]:
    """The aliases that are elsewhere than the ledger decided, in slot `slot` at the latest."""
    for alias in dict.fromkeys((*state.aliases, *live)):
        allowed = state.places(alias)
        if live.get(alias) not in allowed:
            decided = " or ".join(map(str, allowed))
            yield Anomaly("moved_alias", slot, f"'{alias}' at {live.get(alias)}", f"{decided}, as the ledger decided")
