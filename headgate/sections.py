"""The sections of a report, as HTML: each says what the facts say, and says so where there is nothing to say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headgate.address import Places, filled, version_page
from headgate.chronicle import Decision, Excuse, Trouble
from headgate.facts import About, Facts, Live, Wait
from headgate.markup import Markup, element, joined, listed, table
from headgate.portrait import named, worth
from headgate.release import version_of
from headgate.risks import Risk
from headgate.signs import TONES, chip, described, when

_BAD = ("halted", "rejected", "incident", "rollback_started", "rolled_back", "promotion_undone", "waiver_revoked")
_LOOKED_FOR = (
    "This page found none of what it looks for: open incidents and moves, missing evidence, late answers, days of "
    "certification and review, waivers, gates that were left open, groups with few rows, and what nobody has stated."
)
_GOOD = ("promoted", "approved", "incident_closed")


def live_section(told: Facts, places: Places) -> Iterator[Markup]:
    """What is live per alias."""
    if not told.live:
        yield element("p", "Nothing is live: no version of this model was ever promoted.")
        return
    for live in told.live:
        yield element("div", described(_alive(live, told, places)), class_="card")


def _alive(live: Live, told: Facts, places: Places) -> Iterator[tuple[str, object]]:
    made = f", from {live.release}" if live.release else ", from no release that is known"
    yield "Version", joined((element("b", f"version {live.version}"), f" as '{live.alias}'{made}"))
    yield from (("Serves", who) for who in (live.serves,) if who is not None)
    yield "Since", when(live.since)
    yield "Put there by", ", ".join(live.people) or "nobody is named"
    yield "Why", live.why
    yield "Certified until", live.certified_until or "cannot be told"
    yield "A rollback leads to", version_of(live.before)
    yield from (("In doubt", doubt) for doubt in live.doubts)
    links = links_of(told.model, live.version, live.release, places)
    yield from (("Links", link) for link in (links,) if link is not None)


def links_of(model: str, version: int, release: str | None, places: Places, *, form: bool = False) -> Markup | None:
    """The links about a version: MLflow's page, the package, and the form that promotes it."""
    found = {f"version {version} in MLflow": version_page(places.mlflow, model, version)} if places.mlflow else {}
    if places.packages and release:
        found |= {"package": f"{places.packages}/{release}/", "card": f"{places.packages}/{release}/card.md"}
    if places.form and form:
        found[f"promote version {version}, in Prefect"] = filled(places.form, version)
    made = [element("a", name, href=place, rel="noreferrer") for name, place in found.items()]
    return joined(made, ", ") if made else None


def waiting_section(told: Facts, places: Places) -> Iterator[Markup]:
    """Who waits for what."""
    if not told.waits:
        yield element("p", "No release waits for anybody.")
        return
    header = ("release", "version", "still needed", "agreed", "deputies", "since", "until", "links")
    yield table("Releases that wait", header, [_wait_row(wait, told, places) for wait in told.waits])
    yield element(
        "p",
        "An answer is a signature: ",
        element("code", f"headgate approve {told.waits[0].release}"),
        " shows what to decide on.",
        class_="note",
    )


def _wait_row(wait: Wait, told: Facts, places: Places) -> tuple[object, ...]:
    owed = ", ".join(wait.owed) or "its promotion; everybody has agreed"
    until = joined((when(wait.until), " ", chip("overdue", "bad"))) if wait.overdue else when(wait.until)
    links = links_of(told.model, wait.version, wait.release, places, form=True)
    who, deputies = ", ".join(wait.agreed) or "nobody yet", ", ".join(wait.deputies) or "none"
    return (
        element("span", wait.release, class_="name"),
        f"version {wait.version}",
        owed,
        who,
        deputies,
        when(wait.since),
        until,
        links,
    )


def risk_section(found: Sequence[Risk], about: About | None) -> Iterator[Markup]:
    """What is at risk, and what its owners stated about that beforehand."""
    words = {"now": "act now", "soon": "soon", "known": "to know"}
    rows = [(chip(words[r.urgency], TONES.get(r.urgency, "")), r.what) for r in found]
    yield table("The most urgent first", ("how urgent", "what"), rows) if rows else element("p", _LOOKED_FOR)
    if about is None:
        return
    facts = (
        ("Owner", f"{about.owner}; the model is of tier {about.tier}"),
        ("Review of the policy", f"by {about.review_by}"),
        ("Certified", f"for {about.certify_days} days after a promotion"),
        ("If something goes wrong", about.contact or "nobody has stated who answers"),
        ("Watched in use by", about.watched_by or "nobody has stated it"),
    )
    yield described(facts)
    yield from _impact(about)


def _impact(about: About) -> Iterator[Markup]:
    yield element("h3", "Impact on people, as stated")
    impact = about.impact
    if impact is None:
        yield element("p", "The policy states none.")
        return
    yield described(
        (
            ("Who is affected", "; ".join(impact.people)),
            ("Who oversees it", impact.oversight),
            ("How to object", impact.redress),
            ("Assessed", f"by {impact.assessed_by} on {impact.assessed_on}"),
        )
    )
    harms = sorted(impact.harm, key=lambda harm: harm.weight)
    rows = [(h.what, h.who, f"{h.severity}, {h.likelihood}", h.mitigation, h.owner, h.gate or "none") for h in harms]
    header = ("what may go wrong", "for whom", "how grave, how likely", "what is done", "by whom", "gate")
    yield table("Harms, the gravest first", header, rows)


def decision_section(told: Facts) -> Iterator[Markup]:
    """What was decided, newest first."""
    happened = told.happened
    if not happened.decisions:
        yield element("p", "Nothing was decided yet.")
        return
    yield element("p", "Newest first; # is the slot of the entry in the ledger.", class_="note")
    yield element("ol", Markup("\n"), joined(map(_decided, happened.decisions), "\n"), class_="time", reversed=True)
    if happened.older_decisions:
        more = element("code", f"headgate status {told.model}")
        yield element(
            "p", f"{happened.older_decisions} older decisions are in the ledger; ", more, " lists the releases."
        )


def _decided(each: Decision) -> Markup:
    tone = "bad" if each.kind in _BAD else "good" if each.kind in _GOOD else ""
    where = element("b", each.release) if each.release else None
    named = each.actor == "pipeline" or each.actor in each.said
    by = element("span", f"#{each.slot}" if named else f"by {each.actor}, #{each.slot}", class_="note")
    line = (chip(each.kind.replace("_", " "), tone), " ", where, " " if where else None, each.said, " ", by)
    return element("li", when(each.time), element("div", element("p", *line), _plan(each)))


def _plan(each: Decision) -> Markup | None:
    plan = each.halted
    if plan is None:
        return None
    found = [joined((chip(f.verdict.name), " ", element("b", f.what), ": ", f.reason)) for f in plan.failures]
    steps = listed((plan.next_step, *plan.then), kind="ol")
    owner = element("p", "Corrective plan, owned by ", element("b", plan.owner), f", playbook '{plan.playbook}':")
    return element("div", listed(found), owner, steps, class_="plan")


def reply_section(told: Facts) -> Iterator[Markup]:
    """Who answered, in which role, and how sure that is."""
    if not told.happened.replies:
        yield element("p", "Nobody was asked yet, or nobody answered.")
        return
    header = ("person", "role", "about", "answer", "when", "assurance")
    rows = [
        (
            r.person,
            r.role,
            element("span", r.release, class_="name"),
            f"{r.said}: {r.reason}" if r.reason else r.said,
            when(r.time),
            element("span", r.assurance, class_="long"),
        )
        for r in told.happened.replies
    ]
    yield table("Answers of people, newest first", header, rows)
    if told.happened.older_replies:
        yield element("p", f"{told.happened.older_replies} older answers are in the ledger.")


def waiver_section(told: Facts) -> Iterator[Markup]:
    """The waivers, then the incidents."""
    yield element("h3", "Waivers")
    rows = list(map(_waiver_row, told.happened.waivers))
    header = ("gate", "where", "excuses", "until", "stands", "signed by", "why", "used by")
    none = element("p", "No gate was ever waived.")
    yield table("Gates that people excepted from their verdict", header, rows) if rows else none
    yield element("h3", "Incidents")
    troubles = list(map(_trouble_row, told.happened.incidents))
    names = ("alias", "MLflow showed", "found", "closed", "response", "how it ended")
    nothing = element("p", "No alias was ever found elsewhere than the ledger has it.")
    yield table("Aliases that somebody else moved", names, troubles) if troubles else nothing


def _waiver_row(each: Excuse) -> tuple[object, ...]:
    until, people = element("span", each.until, class_="name"), ", ".join(each.people)
    used = ", ".join(each.used_by) or "none"
    return (
        each.gate,
        each.slice or "everywhere",
        f"up to {each.covers}",
        until,
        each.stands,
        people,
        each.reason,
        used,
    )


def _trouble_row(each: Trouble) -> tuple[object, ...]:
    moved = f"{version_of(each.shown)} instead of {version_of(each.recorded)}"
    closed, response = when(each.until, "still open"), f"{each.response}: {each.why}"
    return (each.alias, moved, when(each.since), closed, response, each.how or "not closed")


def summary_section(told: Facts, found: Sequence[Risk]) -> Iterator[Markup]:
    """What a hurried reader takes along, without a word of the trade."""
    if told.about is not None:
        yield element("p", "What it is for: ", told.about.purpose)
        yield element("p", "What it is not for: ", "; ".join(told.about.not_for) or "nobody has said.")
    for each in told.subjects:
        yield element("p", element("b", named(each), ": "), " ".join(worth(each)))
    urgent, soon = (sum(r.urgency == word for r in found) for word in ("now", "soon"))
    said = {
        "that somebody must act on": urgent,
        "for which time runs out": soon,
        "to know of": len(found) - urgent - soon,
    }
    many = ", ".join(f"{n} {what}" for what, n in said.items() if n) or "nothing that this page looks for"
    yield element("p", f"What is at risk: {many}. The section below has each.")
