"""Show: what stands, as tables for people or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from headgate.approval import moment, namespace
from headgate.excuse import excused, headline
from headgate.gate import NUMBERS, Gate
from headgate.judgement import Judged
from headgate.markdown import plain
from headgate.policy import Policy, Waivers
from headgate.records import Evaluated, Registered, Validated, record_of
from headgate.release import Release, Waiver
from headgate.signers import AllowedSigners
from headgate.slices import as_tuple
from headgate.state import State
from headgate.story import sentence
from headgate.strip import legend, lines
from headgate.verdict import Verdict
from headgate.waiver import namespace as waiving
from headgate.walk import COUNTED, Findings
from tasks.record import Desk, now

_COLOURS = {
    "promoted": "green", "PASS": "green", "ok": "green",
    "waiting": "yellow", "approved": "yellow", "rolling": "yellow", "INCONCLUSIVE": "yellow",
    "halted": "red", "rejected": "red", "FAIL": "red", "ERROR": "red",
}  # fmt: skip


def console() -> Console:
    """Standard output, wide enough for a table where it is no terminal."""
    out = Console(soft_wrap=False)
    return out if out.is_terminal else Console(width=160)


def show_models(desks: Sequence[Desk], *, as_json: bool) -> None:
    """Aliases and releases of models."""
    states = [desk.state() for desk in desks]
    if as_json:
        return print_json({state.model: _model(state) for state in states})
    if not states:
        console().print("No releases yet. `headgate release MODEL` makes the first one; `headgate demo` shows how.")
    for state in states:
        _show_model(state)


def show_release(desk: Desk, name: str, *, as_json: bool, brief: bool = False) -> None:
    """Everything about one release: its entries, its verdicts, and what comes next.

    Args:
        brief: of the verdicts, only those that are not PASS.
    """
    release = desk.release(name)
    judged = _judged(desk, release)
    entries = [e for e in desk.ledger().entries if e.release == name]
    if as_json:
        told = [e.model_dump(mode="json", by_alias=True) for e in entries]
        verdicts = judged.model_dump(mode="json")["judgements"] if judged else []
        return print_json({**_release(release), "entries": told, "judgements": verdicts})
    story = titled(f"{name}: {release.stage}", "slot", "when", "what", "")
    for e in entries:
        add_row(story, e.seq, seconds(e.time), e.kind, sentence(record_of(e.kind, dict(e.body))))
    console().print(story)
    if judged:
        _show_verdicts(release, judged, brief=brief)
    _show_next(release)


def show_waivers(model: str, waivers: Sequence[Waiver], *, as_json: bool) -> None:
    """Waivers: what each excuses, until when, who signed it and why, and whether it stands today."""
    if as_json:
        return print_json({"model": model, "waivers": [_waiver(w) for w in waivers]})
    shown = titled(f"{model}: waivers", "slot", "gate", "rows", "covers", "until", "stands", "signed by", "why")
    for w in waivers:
        d, said = _waiver(w), w.record
        people = ", ".join(f"{p.person} as {p.role}" for p in said.people)
        add_row(shown, w.seq, said.gate, said.slice or "any", said.covers, said.until, d["stands"], people, said.reason)
    console().print(shown)


def show_intervals(judged: Judged, out: Console) -> None:
    """One line per gate: its worst comparison with its interval and its limit."""
    for text in lines(judged):
        said = Text(f"  {text}")
        said.stylize(_COLOURS.get(text.split()[0], ""), 0, 14)
        out.print(said, soft_wrap=True)
    out.print(Text(f"  {legend(judged)}", style="dim"), soft_wrap=True)


def _show_verdicts(release: Release, judged: Judged, *, brief: bool) -> None:
    name = release.id
    console().print(f"gates: {plain(headline(judged, release.waivers))}", markup=False, highlight=False, style="italic")
    show_intervals(judged, console())
    shown = titled("each comparison", "verdict", "gate", "rows", "arithmetic")
    for j in sorted(judged.judgements, key=lambda j: -j.verdict):
        if not (brief and j.verdict is Verdict.PASS):
            add_row(shown, j.verdict.name, j.gate, j.slice, j.reason)
    if release.waivers:
        show_waivers(f"{len(excused(judged, release.waivers))} excused in {name}", release.waivers, as_json=False)
    for omitted in judged.omitted:
        add_row(shown, "not judged", omitted.gate, "", omitted.reason)
    if shown.row_count:
        console().print(shown)
    passed = sum(j.verdict is Verdict.PASS for j in judged.judgements)
    console().print(f"{passed} of {len(judged.judgements)} comparisons pass; `headgate status {name}` shows each.")


def _show_next(release: Release) -> None:
    out = console()
    if release.halted is not None:
        plan = release.halted
        halted = f"Halted at {plan.step} with {plan.verdict.name}. Owner: {plan.owner}. Playbook '{plan.playbook}':"
        out.print(plain(halted), markup=False)
        for number, step in enumerate((plan.next_step, *plan.then), 1):
            out.print(f"  {number}. {plain(step)}", markup=False)
    if release.is_rolling:
        out.print(f"Rollout: {plain(_rollout(release))}", markup=False)
    for role, count in release.missing.items():
        out.print(f"Waits for {count} × {role}:  headgate approve {release.id} --role {role} --key KEY", markup=False)
    if release.stage == "running":
        out.print(f"Interrupted? Continue with  headgate release {release.id.rpartition('-')[0]} --resume {release.id}")
    if release.stage in ("approved", "promoting"):
        out.print(
            f"Approved, not promoted. Try  headgate release {release.id.rpartition('-')[0]} --resume {release.id}"
        )


def _rollout(release: Release) -> str:
    """The stages, which of them are reached, and what the next one takes."""
    names = [f"{'✓' if index < len(release.reached) else '·'} {t.name}" for index, t in enumerate(release.rollout)]
    here = release.here
    takes = f"{here.soak_minutes:g} minutes and {here.min_requests:,} requests in {here.name} since"
    return f"{', '.join(names)}; the next takes {takes} {seconds(release.reached[-1].time)}"


def show_findings(found: Mapping[str, Findings], *, as_json: bool) -> None:
    """What an audit found."""
    if as_json:
        return print_json({name: _findings(f) for name, f in found.items()})
    if not found:
        console().print("Nothing to audit: there is no ledger. That is not the same as all being well.")
    for name, f in found.items():
        checked = f"{f.entries} entries, {f.digests} digests, {f.verdicts} verdicts, {f.approvals} approvals"
        more = {"waivers": f.waivers, "pages": f.pages, "reports": f.reports, "flags": f.flags}
        checked += "".join(f", {n} {what}" for what, n in more.items() if n) + " recomputed"
        shown = titled(f"audit of {name}: {checked}", "slot", "what", "got", "expected")
        for a in f.anomalies:
            add_row(shown, "evidence" if a.slot < 0 else a.slot, a.name, a.got, a.expected)
        console().print(shown if f.anomalies else f"[green]✓[/] audit of {escape(name)}: {checked}; nothing is wrong")
        console().print(f"{f.checkpoint or ''}", markup=False, highlight=False, soft_wrap=True, end="")


def show_policy(policy: Policy, signers: AllowedSigners, *, as_json: bool, plan: Mapping[str, Any]) -> None:
    """A sound policy: its digest, its gates and who may approve; as JSON also what the gates can decide."""
    people = {role: _people(signers, namespace(role)) for role in policy.approval.roles}
    if as_json:
        gates = [{"gate": g.label, **g.model_dump(mode="json", exclude_defaults=True)} for g in policy.gate]
        told = {"model": policy.model.name, "digest": policy.digest, "gates": gates, "signers": people, "plan": plan}
        return print_json(told)
    shown = titled(f"{policy.model.name}: the policy is sound, {policy.digest}", "gate", "demand", "why")
    for g in policy.gate:
        add_row(shown, g.label, _demand(g), g.why)
    console().print(shown)
    for role, names in people.items():
        need = policy.approval.roles[role]
        note = ", ".join(names) or "NOBODY: add a line to allowed_signers, or no release can be approved"
        console().print(f"{need} × {role}: {plain(note)}", markup=False)
    if policy.waivers is not None:
        _show_waivable(policy.waivers, signers)


def _demand(gate: Gate) -> str:
    """A gate's numbers, whom it compares, and where it must hold."""
    given = {name: getattr(gate, name) for name in dict.fromkeys(name for each in NUMBERS.values() for name in each)}
    said = [f"{name} {number:g}" for name, number in given.items() if number is not None]
    said += [gate.scenarios] if gate.scenarios else []
    said += ["against the champion"] if gate.against else []
    said += [f"across {_places(gate.across)}"] if gate.across else []
    said += [f"within {_places([gate.within])}"] if gate.within else []
    said += [f"in {gate.slices if gate.slices == 'each' else _places(gate.slices)}"] if gate.slices else []
    return " ".join(said)


def _places(pieces: Iterable[str | tuple[str, ...]]) -> str:
    return ", ".join(" & ".join(as_tuple(piece)) for piece in pieces)


def _show_waivable(allowed: Waivers, signers: AllowedSigners) -> None:
    out = console()
    out.print(
        plain(f"May be waived for {allowed.max_days} days: {', '.join(allowed.gates) or 'nothing'}"), markup=False
    )
    for role, need in allowed.roles.items():
        note = ", ".join(_people(signers, waiving(role))) or "NOBODY: nobody can sign a waiver as this"
        out.print(f"{need} × {role} waive: {plain(note)}", markup=False)


def show_servers(servers: Mapping[str, str], *, as_json: bool) -> None:
    """Servers and their addresses."""
    if as_json:
        return print_json(dict(servers))
    for name, place in servers.items():
        console().print(f"{name:<8} {place}", markup=False)
    if not servers:
        console().print("No server of this home was running.")


def _show_model(state: State) -> None:
    aliases = ", ".join(f"{alias} → version {version}" for alias, version in state.aliases.items()) or "nothing is live"
    shown = titled(f"{state.model}: {aliases}", "release", "stage", "data", "gates", "version", "opened", "next")
    for r in state.releases.values():
        d = _release(r)
        add_row(shown, r.id, r.stage, d["data"], _gates(r), d["version"], seconds(r.opened), d["next"])
    console().print(shown)
    if state.waivers:
        show_waivers(state.model, list(state.waivers.values()), as_json=False)


def _model(state: State) -> dict[str, Any]:
    return {
        "aliases": dict(state.aliases),
        "releases": [_release(r) for r in state.releases.values()],
        "waivers": [_waiver(w) for w in state.waivers.values()],
    }


def _waiver(waiver: Waiver) -> dict[str, Any]:
    ended = "revoked" if waiver.revoked is not None else "over"
    stands = "yes" if waiver.stands(now()) else ended
    return {"slot": waiver.seq, "stands": stands, **waiver.record.model_dump(mode="json")}


def _gates(release: Release) -> str | None:
    evaluated = release.find(Evaluated)
    if evaluated is None or not release.waivers:
        return evaluated.verdict.name if evaluated else None
    return f"{evaluated.verdict.name}; {evaluated.standing.name} with {len(release.waivers)} waived"


def _release(release: Release) -> dict[str, Any]:
    validated, evaluated, registered = release.find(Validated), release.find(Evaluated), release.find(Registered)
    waits = [f"{n} × {role}" for role, n in release.missing.items()]
    return {
        "release": release.id,
        "stage": release.stage,
        "opened": release.opened,
        "data": validated.verdict.name if validated else None,
        "gates": evaluated.verdict.name if evaluated else None,
        "standing": evaluated.standing.name if evaluated else None,
        "waivers": [_waiver(w) for w in release.waivers],
        "version": registered.version if registered else None,
        "missing": release.missing,
        "reached": [terms.name for terms, _ in zip(release.rollout, release.reached, strict=False)],
        "halted": release.halted.model_dump(mode="json") if release.halted else None,
        "next": release.halted.next_step if release.halted else ("waits for " + ", ".join(waits) if waits else ""),
    }


def _judged(desk: Desk, release: Release) -> Judged | None:
    evaluated = release.find(Evaluated)
    return None if evaluated is None else Judged.model_validate_json(desk.evidence.get(evaluated.judged))


def _findings(found: Findings) -> dict[str, Any]:
    counted = {key: getattr(found, key) for key in ("entries", *COUNTED)}
    return {**counted, "anomalies": [vars(a) for a in found.anomalies], "checkpoint": found.checkpoint}


def _people(signers: AllowedSigners, space: str) -> list[str]:
    return list(signers.people(space, moment(now())))


def seconds(time: str | None) -> str:
    """A time of the ledger as people read it, to the second; empty for none."""
    return "" if time is None else time[:19].replace("T", " ")


def titled(title: str, *header: str) -> Table:
    """An empty table with a title and the names of its columns."""
    shown = Table(title=escape(plain(title)), title_justify="left", header_style="bold", expand=False)
    for name in header:
        shown.add_column(name, overflow="fold")
    return shown


def add_row(shown: Table, *cells: object) -> None:
    """Add a row to a table. What a cell says stays text; words that stand for a state get their colour."""
    texts = ["" if cell is None else escape(plain(cell)) for cell in cells]
    shown.add_row(*(f"[{_COLOURS[t]}]{t}[/]" if t in _COLOURS else t for t in texts))


def print_json(value: object) -> None:
    """Print a value as JSON."""
    console().file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
