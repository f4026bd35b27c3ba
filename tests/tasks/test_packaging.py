"""The release package: complete, pinned, and checked by the very commands that it tells its reader."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from stage import Stage, run

from headgate.canonical import digest_of
from headgate.errors import BadInput
from headgate.records import Packaged
from tasks.record import Case, Desk


class Killed(BaseException):
    """Ends the task at once, as a signal would."""


@pytest.fixture
def folder(stage: Stage, tmp_path: Path) -> Path:
    """A copy of the live release's package, as a reader gets it."""
    return Path(shutil.copytree(stage.desk.home.package("toy-1"), tmp_path / "package"))


def packaged(stage: Stage, case: Case) -> Packaged:
    return stage.desk.release(case.release).step(Packaged)


def commands(folder: Path) -> list[str]:
    """The commands of VERIFY.md: its indented blocks."""
    blocks = re.findall(r"(?:^    .*\n)+", (folder / "VERIFY.md").read_text(), re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(script, cwd=folder, capture_output=True, text=True, check=False)


def test_the_manifest_names_every_file_with_its_digest_and_is_the_package(stage: Stage, folder: Path) -> None:
    data = (folder / "manifest.json").read_bytes()
    assert "sha256:" + hashlib.sha256(data).hexdigest() == packaged(stage, stage.live).package
    named = json.loads(data)["files"]
    found = {p.name: "sha256:" + hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()}
    found.pop("manifest.json")
    assert named == found
    assert {"card.md", "policy.toml", "tally.json", "verdicts.json", "serving.json", "ledger.jsonl"} <= set(named)
    for digest in (*named.values(), packaged(stage, stage.live).package):
        assert digest_of(stage.desk.evidence.get(digest)) == digest, "the whole package is evidence"


def test_the_pages_lead_to_the_package(stage: Stage) -> None:
    case = stage.open("evaluate", training=str(stage.toy.training))
    stage.pages.made.clear()
    run("package", case)
    (key, page), (link_key, link) = stage.pages.made
    assert packaged(stage, case).package in page
    assert link == (stage.desk.home.package(case.release) / "card.md").as_uri()
    assert re.fullmatch("[a-z0-9-]+", key)
    assert re.fullmatch("[a-z0-9-]+", link_key)
    assert key != link_key


def test_the_history_is_the_ledger_up_to_the_packaging_and_hangs_together(stage: Stage, folder: Path) -> None:
    lines = (folder / "ledger.jsonl").read_bytes().splitlines()
    assert tuple(lines) == stage.desk.ledger().stored[: len(lines)]
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds[-1] == "evaluated"
    for before, line in pairwise(lines):
        assert json.loads(line)["prev"] == "sha256:" + hashlib.sha256(before).hexdigest()


def test_the_first_command_gives_the_digest_that_the_approvers_signed(stage: Stage, folder: Path) -> None:
    done = shell(commands(folder)[0], folder)
    digest = "sha256:" + done.stdout.split()[0]
    assert digest == packaged(stage, stage.live).package
    signed = [p.read_text() for p in (folder / "approvals").glob("*.txt")]
    assert len(signed) == 2
    assert all(digest in text for text in signed)


def test_the_second_command_says_ok_for_every_file_and_fails_for_a_changed_one(folder: Path) -> None:
    done = shell(commands(folder)[1], folder)
    assert (done.returncode, done.stderr) == (0, "")
    files = [p for p in folder.iterdir() if p.is_file() and p.name != "manifest.json"]
    assert sorted(done.stdout.splitlines()) == sorted(f"{p.name}: OK" for p in files)

    (folder / "card.md").write_text((folder / "card.md").read_text() + " ")
    done = shell(commands(folder)[1], folder)
    assert done.returncode != 0
    assert "card.md: FAILED" in done.stdout


def verified(folder: Path, role: str, person: str) -> subprocess.CompletedProcess[str]:
    return shell(commands(folder)[2].replace("ROLE", role).replace("PERSON", person), folder)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
def test_the_third_command_verifies_each_approval_and_nothing_else(folder: Path) -> None:
    for role, person in (("risk", "ana@toy.example"), ("product", "ben@toy.example")):
        done = verified(folder, role, person)
        assert done.returncode == 0, done.stderr
        assert f'Good "{role}@headgate" signature for {person}' in done.stdout

    path = folder / "approvals" / "risk-ana@toy.example.txt"
    path.write_text(path.read_text().replace("approve", "reject"))
    assert verified(folder, "risk", "ana@toy.example").returncode != 0
    for end in ("txt", "sig"):
        shutil.copy(folder / "approvals" / f"product-ben@toy.example.{end}", path.with_suffix(f".{end}"))
    assert verified(folder, "risk", "ana@toy.example").returncode != 0, "a signature in another role is none"


def test_killed_before_its_record_it_is_made_again_and_is_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    case = stage.open("evaluate", training=str(stage.toy.training))
    with monkeypatch.context() as patch:
        patch.setattr(Desk, "write", die)
        with pytest.raises(Killed):
            run("package", case)
    place = stage.desk.home.package(case.release)
    before = (place / "manifest.json").read_bytes()
    (place / "card.md").write_text("half of a ca")
    run("package", case)
    assert (place / "manifest.json").read_bytes() == before
    assert packaged(stage, case).package == digest_of(before)
    assert shell(commands(place)[1], place).returncode == 0


def test_a_release_whose_signers_are_gone_is_not_packaged(stage: Stage) -> None:
    case = stage.open("evaluate", training=str(stage.toy.training))
    path = stage.toy.folder / "allowed_signers"
    text = path.read_text()
    path.unlink()
    try:
        with pytest.raises(BadInput, match="allowed_signers"):
            run("package", case)
    finally:
        path.write_text(text)
    assert stage.kinds(case)[-1] == "evaluated"
