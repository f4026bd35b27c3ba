"""Demo: the whole story on real data, each part by the real flows."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import flows
from flows.progress import line, told
from flows.run import run_release
from flows.show import show_intervals
from flows.trial import goes_back, tried
from headgate.estimate import Estimate, difference
from headgate.home import Home
from headgate.judgement import Judged
from headgate.records import Evaluated, Halted, record_of
from headgate.slices import ALL
from headgate.story import sentence
from headgate.tally import Tally
from headgate.walk import Findings
from tasks import serve, warm
from tasks.approve import answer, new_throwaway_key
from tasks.audit import audit_all
from tasks.extract import extract, flip, staged
from tasks.record import Desk, reopen, standing

MODEL = "employment"
APPROVERS = {"risk": "ana@demo.example", "product": "ben@demo.example"}
REQUESTER = "dana@demo.example"
FLIPPED = 3

out = Console(stderr=True)


def demo(home: Path, *, as_json: bool, look: bool) -> int:
    """Tell the story, and return 0 only if every part of it came true.

    Args:
        home: the folder that everything is written under. look: leave an MLflow server running, to browse.
    """
    begun = time.monotonic()
    folder, tables, keys = _prepare(home)
    acts = [
        _act("a", "A first release", "promoted", lambda: _release(home, folder, tables["first"], keys)),
        _act(
            "b",
            "A better candidate, one office first",
            "promoted",
            lambda: _tried(home, folder, tables["better"], keys),
        ),
        _act("c", "Better overall, worse for one group", "halted", lambda: _harmed(home, folder, tables, keys)),
        _act("d", "Dirty training data", "halted", lambda: _release(home, folder, tables["dirty"], keys)),
        _act("e", "In use, a new form", "taken back", lambda: ("", goes_back(home, folder, out))),
        _act("f", "The audit, and one flipped bit", "found", lambda: _audit(home, folder.name)),
    ]
    warm.dismiss()
    _ledger(home, folder.name)
    places = _places(home, folder.name, acts, look)
    _summary(acts, places)
    line(
        out,
        f"\n{time.monotonic() - begun:.0f} s. `headgate down` stops the servers; the demo can be run again any time.",
    )
    if as_json:
        Console().print_json(json.dumps({"acts": acts, "places": places}))
    return 0 if all(act["came true"] for act in acts) else 1


def _prepare(home: Path) -> tuple[Path, dict[str, Path], dict[str, Path]]:
    # A ledger is never deleted, so every telling of the story has a model of its own.
    place = home / "demo" / "expectations"
    number = len(list(place.iterdir())) + 1 if place.exists() else 1
    name = MODEL if number == 1 else f"{MODEL}.{number}"
    bundled = Path(flows.__file__).resolve().parent.parent / "expectations" / MODEL
    keys = {role: home / "demo" / "keys" / f"{name}-{role}" for role in APPROVERS}
    signers = "".join(f"{new_throwaway_key(keys[role], person, role)}\n" for role, person in APPROVERS.items())
    policy = (bundled / "policy.toml").read_text().replace(f'name = "{MODEL}"', f'name = "{name}"')
    out.rule(f"[bold]Headgate demo: the model {name}")
    line(out, f"Everything is written under {home}.")
    line(out, "The approvers' keys are throwaway keys that this demo has just made, so that it can play all parts.\n")
    return place / name, extract(place / name, bundled, policy.encode(), signers), keys


def _act(letter: str, title: str, expected: str, play: Callable[[], tuple[str, str]]) -> dict[str, Any]:
    out.rule(f"[bold]{letter}. {title}", align="left")
    name, got = play()
    out.print()
    came_true = expected == got
    return {"act": letter, "title": title, "release": name, "expected": expected, "got": got, "came true": came_true}


def _release(home: Path, folder: Path, table: Path, keys: Mapping[str, Path]) -> tuple[str, str]:
    with told(home, folder.name, out):
        name = run_release(home, folder, REQUESTER, training=str(table))
        case = reopen(str(home), str(folder), name)
        if standing(case).stage == "waiting":
            for role, key in keys.items():
                answer(case, role=role, key=key)
            run_release(home, folder, REQUESTER, resume=name)
    _tell(Desk(home, folder.name), name)
    return name, standing(case).stage


def _harmed(home: Path, folder: Path, tables: Mapping[str, Path], keys: Mapping[str, Path]) -> tuple[str, str]:
    name, stage = _release(home, folder, tables["harmed"], keys)
    desk = Desk(home, folder.name)
    release = desk.release(name)
    alpha = desk.policy(release).confidence.alpha
    better = difference(Tally.from_bytes(desk.evidence.get(release.step(Evaluated).tally)), "roc_auc", ALL)
    if not isinstance(better, Estimate) or better.lower(alpha) <= 0:
        return name, "not better overall"
    compared = f"roc_auc {better.value:+.4f} against the champion, one-sided bound {better.lower(alpha):+.4f}"
    line(out, f"  And yet it is better overall: {compared}. The average would have let it through.")
    return name, stage


def _tried(home: Path, folder: Path, table: Path, keys: Mapping[str, Path]) -> tuple[str, str]:
    staged(folder / "policy.toml")
    line(
        out,
        "The policy now has two stages: a new version is tried by the training office before it is for everybody.\n",
    )
    name, stage = _release(home, folder, table, keys)
    if stage != "rolling":
        return name, stage
    tried(home, folder, out)
    case = reopen(str(home), str(folder), name)
    with told(home, folder.name, out):
        run_release(home, folder, REQUESTER, resume=name)
        if standing(case).stage == "waiting":
            answer(case, role="risk", key=keys["risk"])
            run_release(home, folder, REQUESTER, resume=name)
    out.print(f"[green]{name} is {standing(case).stage}:[/] {_live(Desk(home, folder.name))}.")
    return name, standing(case).stage


def _tell(desk: Desk, name: str) -> None:
    state = desk.state()
    halted = state.release(name).halted
    live = _live(desk)
    evaluated = state.release(name).find(Evaluated)
    if evaluated is not None:
        show_intervals(Judged.model_validate_json(desk.evidence.get(evaluated.judged)), out)
    if halted is None:
        out.print(f"[green]{name} is {state.release(name).stage}:[/] {live}.")
    else:
        out.print(f"[red]{name} is halted[/] at {halted.step}: {live}, as before.")
        _plan(halted)


def _live(desk: Desk) -> str:
    aliases = desk.state().aliases
    return ", ".join(f"'{alias}' is version {version}" for alias, version in aliases.items()) or "nothing is live"


def _plan(halted: Halted) -> None:
    for failure in halted.failures:
        line(out, f"    {failure.verdict.name:<12} {failure.what}: {failure.reason}")
    line(out, f"  Corrective plan, owned by {halted.owner}, playbook '{halted.playbook}':")
    for number, step in enumerate((halted.next_step, *halted.then), 1):
        line(out, f"    {number}. {step}")


def _audit(home: Path, model: str) -> tuple[str, str]:
    sound = audit_all(home, model=model)
    _findings("the ledger as it is", sound)
    with tempfile.TemporaryDirectory(dir=home / "demo") as scratch:
        copy = Path(scratch) / "store"
        shutil.copytree(Home(home).store, copy)
        flip(sorted((copy / "ledger" / model).iterdir())[FLIPPED])
        broken = audit_all(home, model=model, store=copy, ask_registry=False)
    _findings(f"a copy with one bit flipped in slot {FLIPPED}", broken)
    clean = bool(sound) and not any(f.anomalies for f in sound.values())
    found = FLIPPED in [a.slot for f in broken.values() for a in f.anomalies]
    return "", "found" if clean and found else "missed"


def _findings(what: str, found: Mapping[str, Findings]) -> None:
    for f in found.values():
        checked = f"{f.entries} entries, {f.digests} digests, {f.verdicts} verdicts, {f.approvals} approvals recomputed"
        line(out, f"  {what}: {checked}: {'nothing is wrong' if not f.anomalies else ''}")
        for anomaly in f.anomalies:
            line(out, f"    {anomaly}")


def _ledger(home: Path, model: str) -> None:
    out.rule(f"[bold]The ledger of {model}: every decision, hash-chained and signed", align="left")
    for e in Desk(home, model).ledger().entries:
        said = sentence(record_of(e.kind, dict(e.body)))
        line(out, f"{e.seq:>4}  {e.release or '':<15} {e.actor:<17} {e.kind:<18} {said}")
    out.print()


def _places(home: Path, model: str, acts: list[dict[str, Any]], look: bool) -> dict[str, str]:
    at = Home(home)
    servers = [serve.start(at, name) for name in (("prefect", "mlflow") if look else ("prefect",))]
    urls = {server.name: serve.wait_for(at, server) for server in servers}
    places = {"Prefect": f"{urls['prefect']}/runs", "package": str(at.package(acts[1]["release"]) / "card.md")}
    places["report"] = str(at.reports / f"{model}.html")
    if look:
        places["MLflow"] = f"{urls['mlflow']}/#/models/{model}"
    return places


def _summary(acts: list[dict[str, Any]], places: Mapping[str, str]) -> None:
    summary = Table(title="Summary", title_justify="left")
    for column in ("", "what", "release", "expected", "got", "came true"):
        summary.add_column(column)
    for act in acts:
        sign = "[green]yes[/]" if act["came true"] else "[red]NO[/]"
        summary.add_row(act["act"], act["title"], act["release"], act["expected"], act["got"], sign)
    out.print(summary)
    for name, place in places.items():
        line(out, f"  {name:<10} {place}")
