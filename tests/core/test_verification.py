"""A package by itself: sound ones pass, whatever is changed is found, and golden packages verify for ever."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from story_of import (
    ANA,
    BOB,
    CAT,
    KEYS,
    SIGNER,
    SIGNERS,
    Book,
    approve,
    evaluated,
    files_of,
    line,
    signed,
    signers,
    take,
    waiting,
    whole,
)
from test_likeness import nudged

from headgate.approval import statement
from headgate.canonical import canonical, digest_of
from headgate.checkpoint import sign
from headgate.dossier import WEAKEST, crosswalks
from headgate.edition import FORMATS
from headgate.errors import BadInput, HeadgateError
from headgate.ledger import Ledger
from headgate.package import HISTORY, MANIFEST, manifest, unlike
from headgate.records import Packaged
from headgate.replay import replay
from headgate.signing import Signer, new_key
from headgate.verification import verify
from tasks.pack import unpack

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.zip"))
PEOPLE = ((ANA, "risk"), (BOB, "product"), (CAT, "product"))


def package(book=None, release="tiny-1", people=PEOPLE):
    """The files of a package as they lie in its folder, with the answers of some people."""
    book = book or waiting()
    listed = book.evidence[book.release(release).step(Packaged).package]
    files = {name: book.evidence[digest] for name, digest in json.loads(listed)["files"].items()}
    for person, role in people:
        spoken = statement(book.ledger, book.release(release), person=person, role=role, decision="approve")
        text, signature = signed(spoken)
        files |= {f"approvals/{role}-{person}.txt": text, f"approvals/{role}-{person}.sig": signature}
    return {**files, MANIFEST: listed}


def names(files, **given):
    return [a.name for a in verify(files, **given).anomalies]


def repacked(files, **changed):
    """A package whose manifest was made again after a change, as a forger would."""
    kept = {k: v for k, v in files.items() if not k.startswith("approvals/") and k != MANIFEST}
    kept |= {k.replace("__", "."): v for k, v in changed.items()}
    kept |= crosswalks({name: digest_of(data) for name, data in kept.items()})
    return {**files, **kept, MANIFEST: manifest(kept)}


def test_a_sound_package_is_sound_and_says_what_was_checked():
    files = package()
    found = verify(files)
    assert (found.anomalies, found.release, found.sound) == ([], "tiny-1", True)
    assert found.package == digest_of(files[MANIFEST])
    assert found.checked == {
        "files": len(files) - 7,
        "entries": 6,
        "verdicts": 2,
        "attestations": 4,
        "documents": 14,
        "approvals": 3,
    }


def test_a_later_release_is_verified_with_the_history_before_it():
    found = verify(package(whole(), "tiny-2", people=()))
    assert (found.anomalies, found.release) == ([], "tiny-2")
    assert found.checked["verdicts"] == 2


def test_nothing_is_not_sound():
    assert names({}) == ["bad_manifest"]
    assert not verify({}).sound
    assert names({MANIFEST: canonical({"format": "headgate/package/v1", "files": {}})})[0] == "bad_key"


@pytest.mark.parametrize("name", sorted(package(people=())))
def test_a_missing_file_is_named(name):
    files = package()
    del files[name]
    found = verify(files)
    assert not found.sound
    assert name in " ".join(a.got for a in found.anomalies)


def test_a_file_too_many_is_named():
    assert names(package() | {"notes.txt": b"x"}) == ["extra_file"]
    assert names(package() | {"approvals/x/y.txt": b"x"}) == ["extra_file"]


def flips(files, each, seed=7):
    """Every file with one bit flipped, at so many places of each, or at all of a smaller one."""
    random = np.random.default_rng(seed)
    for name, data in files.items():
        for bit in random.choice(8 * len(data), min(8 * len(data), each), replace=False).tolist():
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            yield name, bit, {**files, name: bytes(flipped)}


def missed(files, each):
    """How many flips were tried, by file, and those that were not found."""
    tried, sound = Counter(), []
    for name, bit, flipped in flips(files, each):
        tried[name] += 1
        sound += [(name, bit)] if verify(flipped).sound else []
    return tried, sound


def test_every_sampled_bit_is_missed_by_nobody():
    files = package()
    tried, sound = missed(files, 24)
    assert sound == [], f"{len(sound)} of {tried.total()}"
    assert tried == {name: min(24, 8 * len(data)) for name, data in files.items()}
    assert tried.total() > 500


@pytest.mark.proof
def test_every_bit_of_what_no_manifest_pins_is_missed_by_nobody():
    """The manifest and the answers are pinned by nothing but each other: all bits of one, many of the others."""
    files = package()
    tried, sound = missed({MANIFEST: files[MANIFEST]}, 10**9)
    assert (sound, tried.total()) == ([], 8 * len(files[MANIFEST]))
    tried, sound = missed(files, 400)
    assert sound == [], f"{len(sound)} of {tried.total()}"
    assert tried.total() > 9_000


def test_every_bit_of_every_pinned_file_changes_what_the_manifest_says():
    """No file has a part that the manifest does not cover: all bits, as the check of the files alone sees them."""
    files, tried = package(people=()), 0
    small = {name: data for name, data in files.items() if len(data) < 700 and name != MANIFEST}
    listed = {name: digest_of(data) for name, data in small.items()}
    for name, _, flipped in flips(small, 10**9):
        assert unlike(listed, flipped) == (name,)
        tried += 1
    assert tried == 8 * sum(map(len, small.values())) > 5_000


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_a_flipped_bit_of_an_archive_is_found_or_changes_no_file(path, tmp_path):
    whole, random, told = path.read_bytes(), np.random.default_rng(11), Counter()
    files = unpack(path)
    for bit in random.choice(8 * len(whole), 400, replace=False).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        place = tmp_path / "flipped.zip"
        place.write_bytes(bytes(flipped))
        try:
            found = unpack(place)
        except BadInput:
            told["no archive"] += 1
            continue
        # What an archive says of its files beside their bytes, such as their times, is no part of a package.
        told["same files" if found == files else "found"] += 1
        assert found == files or not verify(found).sound, f"bit {bit}"
    assert told["no archive"] > 300
    assert told.total() == 400


def test_a_verdict_that_was_turned_is_found_although_the_manifest_was_made_again():
    files = package()
    judged = json.loads(files["verdicts.json"])
    judged["judgements"][0]["verdict"] = 3
    again = repacked(files, verdicts__json=canonical(judged))
    assert "no_release" in names(again)
    assert not replay(again).same


def judged_elsewhere(by: float):
    """A package whose numbers were computed where every real one comes out a little otherwise."""
    book = take(Book(), "tiny-1", until="registered")
    record = evaluated(book, None)
    told = nudged(json.loads(book.evidence[record.judged]), by)
    book.say("tiny-1", record.model_copy(update={"judged": book.keep(told)}))
    files = files_of(book, "tiny-1")
    files |= {WEAKEST: canonical(nudged(json.loads(files[WEAKEST]), by))}
    files |= crosswalks({name: digest_of(data) for name, data in files.items()})
    return {**files, MANIFEST: manifest(files)}


def test_verdicts_of_another_c_library_are_the_same_but_for_their_last_bits():
    files = judged_elsewhere(3e-15)
    assert files["verdicts.json"] != judged_elsewhere(0)["verdicts.json"]
    assert verify(files).anomalies == []
    assert (replay(files).same, replay(files).exact) == (True, False)
    assert replay(judged_elsewhere(0)).exact


def test_verdicts_that_differ_by_more_are_forged():
    files = judged_elsewhere(1e-6)
    assert names(files) == ["other_verdict", "bad_document"]
    assert not replay(files).same


def test_a_tally_that_was_swapped_is_not_what_the_ledger_says():
    files, other = package(), files_of(take(waiting(), "tiny-2", version=2, champion=None, until="evaluated"), "tiny-2")
    del other[HISTORY]
    assert "other_package" in names(repacked(files, tally__json=files["tally.json"] + b" "))


def test_a_policy_of_another_release_is_not_what_the_ledger_says():
    files = package()
    looser = files["policy.toml"].replace(b"min = 0.6", b"min = 0.1")
    assert "other_package" in names(repacked(files, policy__toml=looser))


@pytest.mark.parametrize(
    "forge",
    [
        lambda data: data.replace(b'"new":1', b'"new":2').replace(b'"rowCount":400', b'"rowCount":401'),
        lambda data: data.partition(b"\n")[2],
        lambda data: data[: data[:-1].rindex(b"\n") + 1],
        lambda data: data + data.splitlines(keepends=True)[0],
        lambda data: data.replace(b"lineage:v1", b"lineage:v2"),
        lambda data: b"",
    ],
)
def test_a_lineage_that_tells_something_else_is_found_although_the_manifest_was_made_again(forge):
    files = package(people=())
    again = repacked(files, lineage__ndjson=forge(files["lineage.ndjson"]))
    found = verify(again)
    assert [a.name for a in found.anomalies] == ["bad_lineage"]
    assert "line " in found.anomalies[0].got


def test_a_package_without_its_lineage_is_not_sound():
    files = package(people=())
    del files["lineage.ndjson"]
    assert names(repacked(files)) == ["bad_lineage"]


def test_the_checkpoint_is_the_one_of_the_history():
    files = package(people=())
    assert verify(files).checkpoint == sign(waiting().ledger.at(6), SIGNER)
    other = {
        "none": b"",
        "older": sign(waiting().ledger.at(5), SIGNER).note,
        "of another history": sign(whole().ledger.at(7), SIGNER).note,
        "by another key": sign(waiting().ledger.at(6), Signer(new_key())).note,
        "of another model": sign(Ledger("other"), SIGNER).note,
    }
    for data in other.values():
        assert names(repacked(files, checkpoint=data)) == ["bad_checkpoint"]
    del files["checkpoint"]
    assert names(repacked(files)) == ["bad_checkpoint"]


def test_the_key_and_the_signers_may_be_known_from_elsewhere():
    files = package()
    assert verify(files, signers=signers()).sound
    assert names(files, signers=signers(line(ANA, "risk") + line(BOB, "product"))) == ["bad_approval"]
    assert set(names(files, key=KEYS[ANA])) == {"bad_key"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"person": BOB}, "does not let this key sign"),
        ({"package": digest_of(b"other")}, "its package is"),
        ({"policy": digest_of(b"other")}, "its policy is"),
        ({"release": "tiny-9"}, "its release is"),
        ({"version": 7}, "its version is"),
    ],
)
def test_an_approval_of_something_else_is_named(change, why):
    files, book = package(people=()), waiting()
    spoken = statement(book.ledger, book.release("tiny-1"), person=ANA, role="risk", decision="approve")
    text, signature = signed(spoken.model_copy(update=change), key=ANA)
    found = verify(files | {"approvals/a.txt": text, "approvals/a.sig": signature})
    assert [a.name for a in found.anomalies] == ["bad_approval"]
    assert why in found.anomalies[0].got


def test_whoever_asked_cannot_have_approved():
    files, book = package(people=()), waiting()
    spoken = statement(
        book.ledger, book.release("tiny-1"), person="dolly@example.org", role="product", decision="approve"
    )
    text, signature = signed(spoken)
    found = verify(files | {"approvals/a.txt": text, "approvals/a.sig": signature})
    assert ["asked for this release" in a.got for a in found.anomalies] == [True]


def test_half_an_approval_is_named():
    files = package()
    del files[f"approvals/risk-{ANA}.sig"]
    assert names(files) == ["bad_approval"]


def test_replaying_gives_every_bit_again():
    found = replay(package())
    assert found.same
    assert found.judged.judgements
    with pytest.raises(HeadgateError, match="no tally"):
        replay({k: v for k, v in package().items() if k != "tally.json"})


def test_what_is_no_package_is_refused_plainly():
    for data in (b"", b"[]", b"{}", b"\xff", b'{"files":3,"format":"headgate/package/v1"}'):
        assert names({MANIFEST: data}) == ["bad_manifest"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_golden_packages_verify_for_ever(path):
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    found = verify(files)
    assert found.anomalies == []
    assert found.sound
    assert found.checked["approvals"] == 3
    assert replay(files).same


def test_a_package_is_held_to_its_own_edition_and_to_no_other():
    for path in GOLDEN:
        files = unpack(path)
        told = json.loads(files[MANIFEST])
        other = next(name for name in FORMATS if name != told["format"])
        assert names({**files, MANIFEST: canonical({**told, "format": other})})
        for odd in ("headgate/package/v9", "", None):
            assert names({**files, MANIFEST: canonical({**told, "format": odd})}) == ["bad_manifest"]


def test_there_is_a_golden_package_of_every_format():
    kept = {path.stem for path in GOLDEN}
    assert kept == {f"package-v{edition}" for edition in FORMATS.values()}
    assert {verify(unpack(path)).edition for path in GOLDEN} == set(FORMATS.values())
    assert approve(waiting(), "tiny-1").release("tiny-1").stage == "approved"
    assert SIGNERS
