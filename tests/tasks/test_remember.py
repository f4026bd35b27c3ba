"""What a home remembers, by the commands that people type: packages seen one after the other, and its own ledger."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from story_of import MODEL, SIGNER, Book, take, waiting
from test_record import asked
from test_verification import package

from flows.cli import cli
from headgate import checkpoint, proof
from headgate.checkpoint import sign
from headgate.ledger import slot_name
from tasks import follow
from tasks.audit import audit_all
from tasks.pack import pack
from tasks.record import Desk


def run(home: Path, *command: object) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), *map(str, command)])


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    pack(folder, files)
    return folder


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packages of one ledger, of another history of it by the same key, and of another key."""
    top = tmp_path_factory.mktemp("packages")
    longer = take(waiting(), "tiny-2", version=2)
    other = Book(policy_file=Book().policy_file + b"# another history\n")
    return {
        "first": laid(top / "first", package(people=())),
        "second": laid(top / "second", package(longer, "tiny-2", people=())),
        "other": laid(top / "other", package(take(other, "tiny-1"), people=())),
    }


def test_packages_of_one_ledger_are_compared_in_any_order(packages: dict[str, Path], tmp_path: Path) -> None:
    seen = []
    for name in ("second", "first", "second", "first"):
        found = run(tmp_path, "verify", packages[name], "--json")
        assert found.exit_code == 0, found.output
        seen.append(json.loads(found.output)["compared"])
    assert [text.partition(",")[0] for text in seen[:1]] == ["its ledger"]
    assert "for the first time" in seen[0]
    assert seen[1] == "its ledger has 6 entries; up to 14 were seen before, of which it cannot speak"
    assert "compared with 2 checkpoint(s) seen before, up to 14 entries" in seen[2]
    kept = sorted(p.name for p in (tmp_path / "memory").rglob("*") if p.is_file())
    assert kept == ["000000006", "000000014"]


@pytest.mark.parametrize("first", ["first", "second"])
def test_another_history_is_refused_though_it_is_sound_by_itself(
    packages: dict[str, Path], tmp_path: Path, first: str
) -> None:
    assert run(tmp_path / "elsewhere", "verify", packages["other"]).exit_code == 0
    assert run(tmp_path, "verify", packages[first]).exit_code == 0
    found = run(tmp_path, "verify", packages["other"], "--json")
    if first == "second":
        # It is shorter than all that was seen: nothing to compare with, and it says so.
        assert found.exit_code == 0
        assert "of which it cannot speak" in json.loads(found.output)["compared"]
        assert run(tmp_path, "verify", packages["first"]).exit_code == 1, "two histories have been seen now"
        return
    assert found.exit_code == 1
    (anomaly,) = json.loads(found.output)["anomalies"]
    assert (anomaly["name"], anomaly["slot"]) == ("other_history", 0)
    assert run(tmp_path, "verify", packages["second"]).exit_code == 0, "what was refused is not remembered"


def test_another_key_is_refused_unless_it_is_named(packages: dict[str, Path], tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "golden" / "package-v1.zip"
    stranger = tmp_path / "memory" / MODEL / ("0" * 64)
    stranger.mkdir(parents=True)
    (stranger / "000000003").write_bytes(b"seen under another key")
    found = run(tmp_path, "verify", golden, "--json")
    assert found.exit_code == 1
    assert [a["name"] for a in json.loads(found.output)["anomalies"]] == ["other_key"]
    (tmp_path / "pipeline.pub").write_bytes(SIGNER.public_pem)
    assert run(tmp_path, "verify", golden, "--key", tmp_path / "pipeline.pub").exit_code == 0
    assert run(tmp_path, "verify", golden).exit_code == 0, "now it is known"


def test_a_home_that_cannot_remember_verifies_nothing(packages: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "memory").write_bytes(b"no folder")
    assert run(tmp_path, "verify", packages["first"]).exit_code == 3


def test_verifying_imports_nothing_heavy(packages: dict[str, Path], tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys\nfrom flows.cli import cli\n"
        "try:\n    cli(sys.argv[1:])\nfinally:\n"
        "    print(*(n for n in ('prefect', 'mlflow', 'pandas', 'pyarrow', 'sklearn', 'boto3') if n in sys.modules))"
    )
    command = [sys.executable, "-c", code, "--home", str(tmp_path), "verify", str(packages["first"])]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert told.stdout.splitlines()[-2:] == ["Nothing is wrong.", ""]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk.create(tmp_path / "home", "toy")
    for number in range(5):
        made.write(f"toy-{number}", asked())
    return made


def anomalies(desk: Desk, **given: object) -> list[tuple[str, int]]:
    (found,) = audit_all(desk.home.root, model="toy", ask_registry=False, **given).values()
    # The story's evidence does not exist: the ledger is what is audited here.
    return [(a.name, a.slot) for a in found.anomalies if a.name not in {"missing_evidence", "not_recomputable"}]


def remembered(desk: Desk) -> None:
    from tasks.remember import memory_of

    memory_of(desk.home).keep(sign(desk.ledger(), desk.signer))


def cut(desk: Desk, size: int) -> None:
    slots = sorted((desk.home.store / slot_name("toy", 0)).parent.iterdir())
    for path in slots[size:]:
        path.unlink()
    follow._followed.clear()


def test_an_audit_misses_what_was_cut_off(desk: Desk) -> None:
    assert anomalies(desk) == []
    remembered(desk)
    assert anomalies(desk) == []
    cut(desk, 3)
    assert anomalies(desk) == [("lost_entries", 3)]
    cut(desk, 0)
    shutil.rmtree(desk.home.store / "ledger")
    assert anomalies(desk) == [("lost_entries", 0)], "all of it"
    assert audit_all(desk.home.root, ask_registry=False).keys() == {"toy"}


def test_a_package_of_an_older_format_says_that_less_of_it_is_compared(tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "golden"
    for edition, told in ((1, True), (2, True), (3, False)):
        found = run(tmp_path / str(edition), "verify", golden / f"package-v{edition}.zip")
        assert (found.exit_code, "of which less is compared" in found.output) == (0, told), found.output
        again = json.loads(run(tmp_path / str(edition), "verify", golden / f"package-v{edition}.zip", "--json").output)
        assert (again["edition"], again["sound"]) == (edition, True)


def test_an_audit_sees_that_the_end_was_written_again_with_the_key(desk: Desk) -> None:
    remembered(desk)
    cut(desk, 3)
    again = Desk(desk.home.root, "toy")
    for number in range(5):
        again.write(f"again-{number}", asked())
    assert anomalies(again) == [("other_history", 0)]
    kept = desk.home.root / "kept"
    kept.write_bytes(sign(again.ledger().at(3), desk.signer).note)
    shutil.rmtree(desk.home.memory)
    assert anomalies(again) == [], "only who has seen the other one knows"


def test_what_was_kept_elsewhere_is_a_witness(desk: Desk, tmp_path: Path) -> None:
    kept = run(desk.home.root, "checkpoint", "toy")
    assert kept.exit_code == 0
    (tmp_path / "kept").write_bytes(kept.stdout_bytes)
    assert checkpoint.read(kept.stdout_bytes, "toy", desk.verifier).size == 5
    told = {"kept": kept.stdout_bytes}
    assert anomalies(desk, witnesses=told) == []
    cut(desk, 4)
    assert anomalies(desk, witnesses=told) == [("lost_entries", 4)]
    found = run(desk.home.root, "audit", "toy", "--offline", "--witness", tmp_path / "kept", "--json")
    assert found.exit_code == 1
    assert "lost_entries" in found.output
    assert run(desk.home.root, "audit", "--offline", "--witness", tmp_path / "kept").exit_code == 2


def test_an_outsider_is_told_what_the_ledger_continues(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(run(desk.home.root, "checkpoint", "toy").stdout_bytes)
    old = checkpoint.read((tmp_path / "kept").read_bytes(), "toy", desk.verifier)
    desk.write("toy-5", asked())
    letter = run(desk.home.root, "checkpoint", "toy", "--since", tmp_path / "kept")
    assert proof.show_consistency(letter.stdout_bytes, old, desk.verifier).size == 6
    told = json.loads(run(desk.home.root, "checkpoint", "toy", "--since", tmp_path / "kept", "--json").output)
    assert (told["old"], told["size"], len(told["hashes"])) == (5, 6, 3)
    cut(desk, 4)
    found = run(desk.home.root, "checkpoint", "toy", "--since", tmp_path / "kept")
    assert (found.exit_code, "lost_entries" in found.output) == (1, True)


def test_an_outsider_is_told_that_an_entry_is_in_the_ledger(desk: Desk) -> None:
    letter = run(desk.home.root, "prove", "toy", "--entry", 2)
    seen = proof.show_inclusion(letter.stdout_bytes, desk.ledger().stored[2], "toy", desk.verifier)
    assert (seen.size, seen.root) == (5, desk.ledger().root())
    told = json.loads(run(desk.home.root, "prove", "toy", "--entry", 2, "--json").output)
    assert (told["index"], told["size"], told["origin"]) == (2, 5, seen.origin)
    assert run(desk.home.root, "prove", "toy", "--entry", 5).exit_code == 2
    assert run(desk.home.root, "prove", "nobody", "--entry", 0).exit_code == 2


def test_an_outsider_checks_what_came_by_post_with_the_public_key_alone(desk: Desk, tmp_path: Path) -> None:
    def check(*command: object) -> Result:
        return run(tmp_path / "nowhere", "check", *command, "--key", tmp_path / "pipeline.pub")

    def sent(name: str, *command: object) -> Path:
        (tmp_path / name).write_bytes(run(desk.home.root, *command).stdout_bytes)
        return tmp_path / name

    (tmp_path / "pipeline.pub").write_bytes(desk.signer.public_pem)
    (tmp_path / "entry").write_bytes(desk.ledger().stored[2] + b"\n")
    (tmp_path / "other").write_bytes(desk.ledger().stored[3])
    kept, proved = sent("kept", "checkpoint", "toy"), sent("proof", "prove", "toy", "--entry", 2)
    desk.write("toy-5", asked())
    goes_on = sent("goes_on", "checkpoint", "toy", "--since", kept)

    found = check(proved, "--entry", tmp_path / "entry")
    assert (found.exit_code, "Entry 2 (requested of" in found.output) == (0, True), found.output
    found = check(goes_on, "--since", kept)
    assert (found.exit_code, "continues what was kept, its first 5 entries: 6 entries" in found.output) == (0, True)
    assert check(kept).exit_code == 0
    told = json.loads(check(proved, "--entry", tmp_path / "entry", "--json").output)
    assert (told["holds"], told["model"], told["size"], told["entry"]["seq"]) == (True, "toy", 5, 2)

    found = check(proved, "--entry", tmp_path / "other")
    assert (found.exit_code, "calls itself slot 3" in found.output) == (1, True), found.output
    told = json.loads(check(proved, "--entry", tmp_path / "other", "--json").output)
    assert (told["holds"], told["wrong"]["name"], told["entry"]) == (False, "bad_proof", None)
    (tmp_path / "cut").write_bytes(kept.read_bytes()[:-9])
    assert check(tmp_path / "cut").exit_code == 1
    for odd in (check(proved), check(goes_on, "--entry", tmp_path / "entry"), check(tmp_path / "entry"), check("none")):
        assert odd.exit_code == 2, odd.output
    assert run(tmp_path, "check", kept, "--key", kept).exit_code == 2
    assert not (tmp_path / "nowhere").exists(), "nothing is read from a home, or written to one"
