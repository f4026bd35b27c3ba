"""Waivers from the command line, through real tasks and a real registry, to a promotion and its audit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from model_folder import Toy
from stage import Pages, approve_all, opened, run
from terminal import Terminal

from flows.cli import cli
from headgate import sshsig
from headgate.records import Evaluated, Halted, Registered
from headgate.verdict import Verdict
from headgate.waiver import namespace
from tasks.audit import audit_all
from tasks.connect import alias_version, client
from tasks.record import Case, Desk

STRICT = "min = 0.9999"
TODAY = datetime.now(UTC).date()
SOON = str(TODAY + timedelta(days=30))
ANA, BEN, EVE = "ana@toy.example", "ben@toy.example", "eve@toy.example"


def key_line(path: Path, person: str, *spaces: str) -> str:
    public = sshsig.public_key(path.read_bytes()).text
    return f'{person} namespaces="{",".join(spaces)}" {public}\n'


@pytest.fixture
def strict(toy: Toy) -> Iterator[Toy]:
    """A toy whose ROC AUC gate fails, and whose policy lets it be waived by the two people who also approve."""
    policy = toy.folder / "policy.toml"
    part = '\n[waivers]\nroles = { risk = 1, product = 1 }\nmax_days = 60\ngates = ["roc-auc"]\n'
    policy.write_text(policy.read_text().replace("min = 0.65", STRICT) + part)
    spaces = {role: (f"{role}@headgate", namespace(role)) for role in toy.keys}
    lines = [key_line(toy.keys["risk"], ANA, *spaces["risk"]), key_line(toy.keys["product"], BEN, *spaces["product"])]
    (toy.folder / "allowed_signers").write_text("".join(lines))
    Desk.create(toy.home, toy.name)
    yield toy
    if (toy.home / "servers").exists():  # `headgate approve` starts one
        Terminal(toy).run("down")


def terms(**changes: str) -> list[str]:
    given = {"gate": "roc-auc", "covers": "FAIL", "until": SOON, "reason": "the new extract comes in autumn", **changes}
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def keys(toy: Toy) -> list[str]:
    return [word for role, key in toy.keys.items() for word in ("--role", role, "--key", str(key))]


def people() -> list[str]:
    return ["--role", "risk", "--person", ANA, "--role", "product", "--person", BEN]


def failed(toy: Toy) -> Case:
    """A release that the gate stops: the model has a ledger then."""
    case = opened(toy, "evaluate")
    run("halt", case)
    return case


def size(toy: Toy) -> int:
    return Desk(toy.home, toy.name).ledger().size


def test_from_a_halt_over_a_waiver_to_a_promotion(strict: Toy, pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.halt.create_markdown_artifact", pages.markdown)
    terminal, desk = Terminal(strict), Desk(strict.home, strict.name)
    first = desk.release(failed(strict).release)
    assert first.halted is not None
    assert first.halted.verdict is Verdict.FAIL

    made = terminal.json("waive", "toy", *terms(), *keys(strict))["waivers"][0]
    assert (made["stands"], made["gate"], [p["person"] for p in made["people"]]) == ("yes", "roc-auc", [ANA, BEN])
    assert terminal.json("status")["toy"]["waivers"] == [made]
    assert "the new extract comes in autumn" in terminal.run("status").stdout

    pages.made.clear()
    case = opened(strict, "approve")
    release = desk.release(case.release)
    said = release.step(Evaluated)
    assert (said.verdict, said.standing, said.waived) == (Verdict.FAIL, Verdict.PASS, (made["slot"],))
    assert any("PASS with 1 waiver (roc-auc: FAIL)" in page for _, page in pages.made), "the verdict page says so"
    package = desk.home.package(case.release)
    assert "## Waivers" in (package / "card.md").read_text()
    text = terminal.run("approve", case.release, "--role", "risk", "--person", ANA, "--show").stdout
    assert "roc-auc, up to FAIL" in json.loads(text)["waivers"][0]
    shown = terminal.run("status", case.release).stdout
    assert "PASS with 1 waiver (roc-auc: FAIL)" in shown
    assert "FAIL" in shown

    approve_all(strict, case)
    assert run("promote", case) == ()
    assert alias_version(client(desk.home), "toy", "champion") == release.step(Registered).version
    run("publish", case)
    tags = client(desk.home).get_model_version("toy", str(release.step(Registered).version)).tags
    assert tags["headgate.verdict"] == "PASS with 1 waiver (roc-auc: FAIL)"
    assert ANA in tags["headgate.waivers"]
    found = audit_all(strict.home)["toy"]
    assert (found.anomalies, found.waivers) == ((), 1)
    assert terminal.json("audit", "--offline")["toy"]["waivers"] == 1


def test_a_waiver_revoked_before_the_promotion_stops_it(strict: Toy, pages: Pages) -> None:
    terminal, desk = Terminal(strict), Desk(strict.home, strict.name)
    opened(strict, "snapshot")
    slot = terminal.json("waive", "toy", *terms(), *keys(strict))["waivers"][0]["slot"]
    case = opened(strict, "approve")
    approve_all(strict, case)
    word = ["--reason", "recalibrated", "--role", "risk", "--key", str(strict.keys["risk"])]
    told = terminal.json("waive", "toy", "--revoke", str(slot), *word)["waivers"][0]
    assert (told["slot"], told["stands"]) == (slot, "revoked")
    (reason,) = run("promote", case)
    assert "was revoked in slot" in reason
    assert alias_version(client(desk.home), "toy", "champion") is None
    assert audit_all(strict.home)["toy"].anomalies == ()
    again = terminal.run("waive", "toy", "--revoke", str(slot), *word, expect=2)
    assert "no waiver that can be revoked" in again.stderr


def test_the_halt_speaks_only_of_what_is_not_waived(strict: Toy, pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.halt.create_markdown_artifact", pages.markdown)
    policy = strict.folder / "policy.toml"
    policy.write_text(policy.read_text().replace("max = 0.30", "max = 0.0001"))
    opened(strict, "snapshot")
    Terminal(strict).run("waive", "toy", *terms(), *keys(strict))
    case = opened(strict, "evaluate")
    run("halt", case)
    release = Desk(strict.home, strict.name).release(case.release)
    assert isinstance(release.halted, Halted)
    assert {f.what for f in release.halted.failures} == {"selection-gap"}
    assert release.step(Evaluated).waived != ()


def test_each_signs_elsewhere(strict: Toy, pages: Pages, tmp_path: Path) -> None:
    terminal, text = Terminal(strict), tmp_path / "text"
    opened(strict, "snapshot")
    text.write_text(terminal.run("waive", "toy", *terms(), *people(), "--show").stdout)
    before = size(strict)
    signatures = [signed(text, strict.keys[role], namespace(role)) for role in ("product", "risk")]
    given = [word for path in signatures for word in ("--signature", str(path))]
    one = terminal.run("waive", "toy", "--statement", str(text), *given[:2], expect=2)
    assert "1 signature(s) of 2 people" in one.stderr
    assert size(strict) == before
    made = terminal.json("waive", "toy", "--statement", str(text), *given)["waivers"][0]
    assert made["stands"] == "yes"
    twice = terminal.run("waive", "toy", "--statement", str(text), *given, expect=2)
    assert "recorded already" in twice.stderr

    back = tmp_path / "back"
    word = ["--revoke", str(made["slot"]), "--reason", "no more", "--role", "product", "--person", BEN]
    back.write_text(terminal.run("waive", "toy", *word, "--show").stdout)
    sign = str(signed(back, strict.keys["product"], namespace("product")))
    done = terminal.json("waive", "toy", *word[:2], "--statement", str(back), "--signature", sign)
    assert done["waivers"][0]["stands"] == "revoked"
    replay = terminal.run("waive", "toy", "--statement", str(text), *given, expect=2)
    assert "recorded already" in replay.stderr, "what was revoked cannot be recorded again"
    assert audit_all(strict.home, ask_registry=False)["toy"].anomalies == ()


def signed(text: Path, key: Path, space: str) -> Path:
    """A signature by OpenSSH itself where it is installed, as the help says."""
    out = text.with_name(f"{text.name}.{space}.sig")
    command = ["ssh-keygen", "-Y", "sign", "-n", space, "-f", str(key)]
    try:
        made = subprocess.run(command, input=text.read_bytes(), capture_output=True, check=True).stdout
    except FileNotFoundError:
        made = sshsig.sign(key.read_bytes(), text.read_bytes(), space).encode()
    out.write_bytes(made)
    return out


REFUSED: dict[str, tuple[Callable[[Toy], list[str]], str]] = {
    "a gate that may not be": (lambda t: [*terms(gate="latency-p99-ms"), *keys(t)], "lets nobody waive"),
    "a gate that is not there": (lambda t: [*terms(gate="nonsense"), *keys(t)], "lets nobody waive"),
    "too long": (lambda t: [*terms(until=str(TODAY + timedelta(days=61))), *keys(t)], "60 days"),
    "over": (lambda t: [*terms(until="2020-01-01"), *keys(t)], "ended with"),
    "one person": (lambda t: [*terms(), *keys(t)[:4]], "signed by 1 × risk"),
    "one key twice": (lambda t: [*terms(), *keys(t)[:6], "--key", str(t.keys["risk"])], "for nobody"),
    "no reason": (lambda t: [*terms(reason=""), *keys(t)], "--reason"),
    "no gate": (lambda t: [*terms(gate=""), *keys(t)], "--gate"),
    "ERROR": (lambda t: [*terms(covers="ERROR"), *keys(t)], "ERROR"),
    "a day that is none": (lambda t: [*terms(until="2026-02-30"), *keys(t)], "2026-02-30"),
    "no keys": (lambda t: terms(), "--key"),
    "more roles than keys": (lambda t: [*terms(), *keys(t), "--role", "risk"], "--role"),
    "no such key": (lambda t: [*terms(), "--role", "risk", "--key", "nowhere", *keys(t)[4:]], "no such file"),
    "a slot of nothing": (lambda t: ["--revoke", "0", "--reason", "x", *keys(t)[:4]], "no waiver that can be revoked"),
    "two who revoke": (lambda t: ["--revoke", "0", "--reason", "x", *keys(t)], "one"),
    "a text that is none": (lambda t: ["--statement", str(t.training), "--signature", str(t.training)], "waiver"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_count_is_not_recorded(strict: Toy, pages: Pages, what: str) -> None:
    make, part = REFUSED[what]
    opened(strict, "snapshot")
    before = size(strict)
    places = ["--home", str(strict.home), "--expectations", str(strict.folder.parent)]
    told = CliRunner().invoke(cli, [*places, "waive", "toy", *make(strict)])
    assert told.exit_code == (1 if what == "a text that is none" else 2), told.output
    assert part in told.output
    assert "Traceback" not in told.output
    assert size(strict) == before


def test_a_key_that_may_only_approve_cannot_waive(strict: Toy, pages: Pages) -> None:
    listed = strict.folder / "allowed_signers"
    listed.write_text(listed.read_text().replace(f",{namespace('risk')}", ""))
    opened(strict, "snapshot")
    told = Terminal(strict).run("waive", "toy", *terms(), *keys(strict), expect=2)
    assert namespace("risk") in told.stderr


def test_a_model_without_the_part_has_no_waivers(toy: Toy, pages: Pages) -> None:
    opened(toy, "snapshot")
    lines = [
        key_line(toy.keys[role], who, f"{role}@headgate", namespace(role))
        for role, who in (("risk", ANA), ("product", BEN))
    ]
    (toy.folder / "allowed_signers").write_text("".join(lines))
    told = Terminal(toy).run("waive", "toy", *terms(), *keys(toy), expect=2)
    assert "no part [waivers]" in told.stderr


def test_a_waiver_of_whoever_asks_is_not_used_and_the_page_says_why(
    strict: Toy, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stage.REQUESTER", ANA)
    opened(strict, "snapshot")
    Terminal(strict).run("waive", "toy", *terms(), *keys(strict))
    pages.made.clear()
    case = opened(strict, "evaluate")
    said: Any = Desk(strict.home, strict.name).release(case.release).step(Evaluated)
    assert (said.standing, said.waived) == (Verdict.FAIL, ())
    assert any(f"{ANA} asked for this release" in page for _, page in pages.made)


def test_the_policy_check_says_who_may_waive_what(strict: Toy) -> None:
    shown = Terminal(strict).run("policy", "check", "toy").stdout
    assert "roc-auc" in shown
    assert f"1 × risk waive: {ANA}" in shown


def test_the_help_teaches(strict: Toy) -> None:
    shown = Terminal(strict).run("waive", "--help").stdout
    for part in ("risk@waiver.headgate", "--show", "--revoke", "two people", "ERROR"):
        assert part in shown
