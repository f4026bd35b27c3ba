from __future__ import annotations

import json
import re
import shutil
import subprocess
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from story_of import ANA, BOB, MODEL, REQUESTER, SERVING, Book, evaluated, files_of, take, tallied, whole

from headgate.canonical import digest_of, parse
from headgate.entry import genesis
from headgate.errors import BadInput
from headgate.package import CHECKPOINT, HISTORY, MANIFEST, VERIFY, manifest, pinned, unlike
from headgate.records import Packaged
from headgate.signing import Signer, new_key

BOOK = take(Book(), "tiny-1", until="evaluated")
FILES = files_of(BOOK, "tiny-1")


def test_the_manifest_names_every_file_and_nothing_else():
    said = parse(manifest(FILES))
    assert said == {
        "format": "headgate/package/v3",
        "files": {name: "sha256:" + sha256(data).hexdigest() for name, data in FILES.items()},
    }
    assert set(FILES) == {
        "VERIFY.md", "allowed_signers", "card.md", "checkpoint", "crosswalk.json", "crosswalk.md", "data-report.json",
        "datasheet.md",
        "evaluation-suite.json", "gate-calibration.json", "gate-calibration.md", "gates.sigstore.json",
        "impact-assessment.md",
        "incident-plan.json", "ledger.jsonl", "lineage-facets.json", "lineage.ndjson", "lineage.svg", "mlbom.cdx.json",
        "model.sig", "monitoring-plan.json", "pipeline.pub", "policy.toml", "sbom.cdx.json", "serving.json",
        "summary.md", "summary.sigstore.json", "tally.json", "training-suite.json", "verdicts.json",
        "verdicts.sigstore.json", "verdicts.svg",
        "weakest-slices.json",
    }  # fmt: skip


def test_the_packages_digest_depends_on_every_file_and_name_and_not_on_their_order():
    base = digest_of(manifest(FILES))
    assert digest_of(manifest(dict(reversed(FILES.items())))) == base
    others = [{**FILES, name: data + b" "} for name, data in FILES.items()]
    others += [{("x" if n == name else n): d for n, d in FILES.items()} for name in FILES]
    others += [{n: d for n, d in FILES.items() if n != name} for name in FILES]
    others += [{**FILES, "more": b""}]
    digests = {digest_of(manifest(other)) for other in others}
    assert base not in digests
    assert len(digests) == len(others) == 3 * len(FILES) + 1


@pytest.mark.parametrize("name", ["", "../x", "a/b", "/etc/passwd", "a\nb", "a b", "-rf", ".x", "a\u202eb", MANIFEST])
def test_a_name_that_could_not_be_checked_is_refused(name):
    with pytest.raises(BadInput, match="release package"):
        manifest({**FILES, name: b""})


def test_an_empty_package_is_refused():
    with pytest.raises(BadInput, match="no files"):
        manifest({})


def test_what_is_unlike_its_manifest_is_named():
    expected = {name: digest_of(data) for name, data in FILES.items()}
    assert unlike(expected, FILES) == ()
    for name, data in FILES.items():
        assert unlike(expected, {**FILES, name: data[:-1]}) == (name,)
        assert unlike(expected, {n: d for n, d in FILES.items() if n != name}) == (name,)
    assert unlike(expected, {**FILES, "added": b""}) == ("added",)
    assert unlike({}, {"a": b"", "b": b""}) == ("a", "b")
    assert unlike(expected, {}) == tuple(sorted(expected))


def test_what_the_ledger_pins_is_in_the_package_byte_for_byte():
    named = pinned(BOOK.release("tiny-1"))
    assert FILES["tally.json"] == tallied(champion=False).to_bytes()
    assert FILES["serving.json"] == SERVING.to_bytes()
    assert FILES["policy.toml"] == BOOK.policy_file
    assert {name: digest_of(FILES[name]) for name in named} == named
    assert len(named) == 9


def test_without_a_serving_profile_none_is_pinned():
    book = take(Book(), "tiny-1", until="registered")
    book.say("tiny-1", evaluated(book, None, serving=None))
    assert "serving.json" not in pinned(book.release("tiny-1"))
    with pytest.raises(BadInput, match="Evaluated"):
        pinned(take(Book(), "tiny-1", until="registered").release("tiny-1"))


# VERIFY.md, done as it says, with the tools that it names.

COMMANDS = re.findall(r"(?:^    .+\n)+", VERIFY, re.MULTILINE)


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of a whole release, laid out as a folder, with its approvals."""
    folder, book = tmp_path_factory.mktemp("package"), whole()
    release = book.release("tiny-1")
    pinned_bytes = book.evidence[release.step(Packaged).package]
    (folder / MANIFEST).write_bytes(pinned_bytes)
    for name, digest in json.loads(pinned_bytes)["files"].items():
        (folder / name).write_bytes(book.evidence[digest])
    (folder / "approvals").mkdir()
    for answer in (a.record for a in release.approvals):
        stem = folder / "approvals" / f"{answer.role}-{answer.person}"
        Path(f"{stem}.txt").write_bytes(book.evidence[answer.statement])
        Path(f"{stem}.sig").write_bytes(book.evidence[answer.signature])
    return folder


def test_the_digest_is_the_one_that_people_signed(packed: Path) -> None:
    shown = run(packed, COMMANDS[0]).stdout.split()[0]
    texts = list((packed / "approvals").glob("*.txt"))
    assert len(texts) == 3
    assert all(json.loads(text.read_text())["package"] == f"sha256:{shown}" for text in texts)


def test_the_files_are_checked_by_standard_tools(packed: Path) -> None:
    checked = run(packed, COMMANDS[1])
    assert checked.returncode == 0, checked.stderr
    lines = checked.stdout.splitlines()
    assert len(lines) == len(FILES)
    assert all(line.endswith(": OK") for line in lines)
    for name in ("card.md", "tally.json", "policy.toml"):
        whole_bytes = (packed / name).read_bytes()
        (packed / name).write_bytes(whole_bytes.replace(b"0", b"1", 1))
        changed = run(packed, COMMANDS[1])
        (packed / name).write_bytes(whole_bytes)
        assert changed.returncode != 0
        assert f"{name}: FAILED" in changed.stdout


def test_the_approvals_are_verified_by_openssh(packed: Path) -> None:
    def verify(person: str, role: str) -> int:
        return run(packed, COMMANDS[2].replace("PERSON", person).replace("ROLE", role)).returncode

    assert verify(ANA, "risk") == verify(BOB, "product") == 0
    for role in ("risk", "product"):
        (packed / "approvals" / f"{role}-{REQUESTER}.txt").write_bytes(b"")
    assert verify(REQUESTER, "product") != 0
    text = packed / "approvals" / f"risk-{ANA}.txt"
    signed = text.read_bytes()
    text.write_bytes(signed.replace(b'"version": 1', b'"version": 2'))
    assert verify(ANA, "risk") != 0
    text.write_bytes(signed)
    assert verify(ANA, "risk") == 0


CHAIN = next(each for each in COMMANDS if "hashlib" in each and "ledger.jsonl" in each)


@pytest.mark.parametrize(
    "name", ["model.sig", "gates.sigstore.json", "summary.sigstore.json", "verdicts.sigstore.json"]
)
def test_openssl_verifies_every_attestation_and_refuses_another_key(packed: Path, name: str) -> None:
    command = COMMANDS[5].replace("model.sig", name)
    done = run(packed, command)
    assert (done.returncode, done.stdout.strip()) == (0, "Verified OK"), done.stderr
    key = (packed / "pipeline.pub").read_bytes()
    (packed / "pipeline.pub").write_bytes(Signer(new_key()).public_pem)
    refused = run(packed, command)
    (packed / "pipeline.pub").write_bytes(key)
    assert refused.returncode != 0


def test_the_chain_is_checked_as_the_page_says(packed: Path) -> None:
    assert run(packed, CHAIN).stdout.strip() == "True"
    path = packed / HISTORY
    lines = path.read_bytes()
    path.write_bytes(lines.replace(b'"slot', b'"slit', 1).replace(b"risk", b"rusk", 1).replace(b"tiny-1", b"tiny-9", 1))
    assert run(packed, CHAIN).stdout.strip() == "False"
    path.write_bytes(lines)


def test_the_page_names_a_command_for_every_signed_file() -> None:
    assert [c.split()[0] for c in COMMANDS[:5]] == ["sha256sum", "python3", "ssh-keygen", "model_signing", "cosign"]
    assert len(COMMANDS) == 8


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_checkpoint_is_verified_by_openssl(packed: Path) -> None:
    (command,) = (each for each in COMMANDS if "checkpoint" in each)
    assert run(packed, command).stdout == "Verified OK\n"
    kept = (packed / CHECKPOINT).read_bytes()
    (packed / CHECKPOINT).write_bytes(kept.replace(b"\n6\n", b"\n5\n"))
    assert run(packed, command).returncode != 0
    (packed / CHECKPOINT).write_bytes(kept)
    for left in ("text", "signature"):
        (packed / left).unlink()


def test_the_history_is_chained_line_by_line(packed: Path) -> None:
    lines = (packed / HISTORY).read_bytes().splitlines()
    assert len(lines) == 6, "everything up to the packaging"
    assert json.loads(lines[0])["prev"] == genesis(MODEL)
    for before, after in pairwise(lines):
        assert json.loads(after)["prev"] == "sha256:" + sha256(before).hexdigest()
