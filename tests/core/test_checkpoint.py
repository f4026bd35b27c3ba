"""Checkpoints and proofs: what outsiders verify, with tools that are not ours."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from story_of import MODEL, SIGNER, VERIFIER, whole

from headgate import checkpoint, proof
from headgate.checkpoint import LIMIT, Checkpoint, sign
from headgate.errors import BadInput, Tampered
from headgate.ledger import Ledger
from headgate.merkle import EMPTY, root
from headgate.signing import Signer, Verifier, new_key

LEDGER = whole().ledger
SIGNED = sign(LEDGER, SIGNER)
NOTE = SIGNED.note
STRANGER = Signer(new_key())


def read(note: bytes, model: str = MODEL) -> Checkpoint:
    return checkpoint.read(note, model, VERIFIER)


def test_a_checkpoint_is_the_text_that_its_specification_says() -> None:
    key = SIGNER.key_id.removeprefix("sha256:")
    text, blank, below = NOTE.decode().rpartition("\n\n")
    assert blank
    assert text.split("\n") == [
        f"headgate/tiny@{key}",
        str(LEDGER.size),
        base64.b64encode(bytes.fromhex(root(LEDGER.stored)[7:])).decode(),
    ]
    dash, name, signature = below.removesuffix("\n").split(" ")
    assert (dash, name) == ("\u2014", f"headgate/tiny@{key}")
    assert len(base64.b64decode(signature)) > 60
    assert read(NOTE) == SIGNED
    assert sign(LEDGER, SIGNER).note == NOTE


def test_it_is_verified_with_nothing_of_ours() -> None:
    key = serialization.load_pem_public_key(SIGNER.public_pem)
    text, _, below = NOTE.rpartition(b"\n\n")
    blob = base64.b64decode(below.decode().split(" ")[2])
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert blob[:4] == hashlib.sha256(spki).digest()[:4]
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(blob[4:], text + b"\n", ec.ECDSA(hashes.SHA256()))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_verifies_it(tmp_path: Path) -> None:
    text, _, below = NOTE.rpartition(b"\n\n")
    for name, data in {
        "text": text + b"\n",
        "signature": base64.b64decode(below.decode().split(" ")[2])[4:],
        "pipeline.pub": SIGNER.public_pem,
    }.items():
        (tmp_path / name).write_bytes(data)
    command = ["openssl", "dgst", "-sha256", "-verify", "pipeline.pub", "-signature", "signature", "text"]
    assert "Verified OK" in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout


def test_the_empty_ledger_has_a_checkpoint_too() -> None:
    empty = sign(Ledger("m"), SIGNER)
    assert (empty.size, empty.root) == (0, EMPTY)
    assert checkpoint.read(empty.note, "m", VERIFIER) == empty


def signature_of(text: bytes, name: str, signer: Signer = SIGNER) -> bytes:
    blob = bytes.fromhex(signer.key_id[7:])[:4] + base64.b64decode(signer.sign(text))
    return f"\u2014 {name} {base64.b64encode(blob).decode()}\n".encode()


def noted(*lines: str) -> bytes:
    text = "".join(f"{line}\n" for line in lines).encode()
    return text + b"\n" + signature_of(text, SIGNED.origin)


ROOT = SIGNED.text.decode().split("\n")[2]


def test_lines_of_others_are_kept_or_passed_over() -> None:
    more = noted(SIGNED.origin, "5", ROOT, "an extension", "and another")
    assert read(more).extensions == ("an extension", "and another")
    assert read(more).note == more
    theirs = signature_of(SIGNED.text, "witness.example/w1", STRANGER)
    assert read(NOTE + theirs) == SIGNED
    same_name = signature_of(SIGNED.text, SIGNED.origin, STRANGER)
    assert read(NOTE + same_name) == SIGNED
    assert read(SIGNED.text + b"\n" + theirs * 15 + NOTE.rpartition(b"\n\n")[2]) == SIGNED
    # The specification's own example of a note, by a key that nobody here knows.
    example = (
        b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        b"\xe2\x80\x94 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGz"
        b"Gku9nTo+zyWE+xeMcTOAYQ8=\n"
    )
    with pytest.raises(Tampered, match=r"the origin 'example\.com/behind-the-sofa'"):
        read(example)


BAD = {
    "nothing": b"",
    "only a text": SIGNED.text,
    "no signature": SIGNED.text + b"\n",
    "another model's": sign(Ledger("m"), SIGNER).note,
    "another key's": sign(LEDGER, STRANGER).note,
    "another key's in the name of ours": SIGNED.text + b"\n" + signature_of(SIGNED.text, SIGNED.origin, STRANGER),
    "one good signature, one bad": NOTE + signature_of(b"x", SIGNED.origin),
    "another text": NOTE.replace(b"\n" + ROOT.encode(), b"\n" + ROOT.swapcase().encode()),
    "no end": NOTE[:-1],
    "one more line": NOTE + b"\n",
    "a line of something else": NOTE + b"hello\n",
    "carriage returns": NOTE.replace(b"\n", b"\r\n"),
    "a control": NOTE + b"\x00",
    "no UTF-8": NOTE.replace(b"\xe2\x80\x94", b"\xe2\x80"),
    "a hyphen for the dash": NOTE.replace(b"\xe2\x80\x94", b"-"),
    "two blanks": NOTE.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94  "),
    "too many signatures": NOTE + signature_of(b"x", "witness.example/w", STRANGER) * 70,
    "too large": noted(SIGNED.origin, "5", ROOT, *["x" * 1000] * (LIMIT // 1000)),
    "a leading zero": noted(SIGNED.origin, "05", ROOT),
    "a negative size": noted(SIGNED.origin, "-5", ROOT),
    "a signed size": noted(SIGNED.origin, "+5", ROOT),
    "another numeral": noted(SIGNED.origin, "\u0665", ROOT),
    "a size that no ledger has": noted(SIGNED.origin, "1000000001", ROOT),
    "no size": noted(SIGNED.origin, "", ROOT),
    "no root": noted(SIGNED.origin, "5"),
    "a short root": noted(SIGNED.origin, "5", "AAAA"),
    "a root in another spelling": noted(SIGNED.origin, "5", ROOT.rstrip("=")),
    "a root with loose bits": noted(SIGNED.origin, "5", "A" * 42 + "B="),
    "an empty extension": noted(SIGNED.origin, "5", ROOT, "", "x"),
}


@pytest.mark.parametrize("what", BAD)
def test_whatever_else_is_refused(what: str) -> None:
    with pytest.raises(Tampered, match="checkpoint"):
        read(BAD[what])


def test_every_flipped_bit_of_a_note_is_refused() -> None:
    checked = 0
    for bit in range(8 * len(NOTE)):
        flipped = bytearray(NOTE)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Tampered):
            read(bytes(flipped))
        checked += 1
    assert checked > 2000


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    for note in (noise, NOTE + noise, noise + NOTE):
        if note != NOTE:
            with pytest.raises(Tampered):
                read(note)


@pytest.mark.parametrize("slot", [0, 1, 7, LEDGER.size - 1])
def test_an_entry_is_proved_without_the_ledger(slot: int) -> None:
    letter = proof.inclusion(LEDGER, slot, SIGNER)
    assert letter.startswith(b"c2sp.org/tlog-proof@v1\nindex %d\n" % slot)
    assert letter.endswith(b"\n\n" + NOTE)
    assert proof.show_inclusion(letter, LEDGER.stored[slot], MODEL, VERIFIER) == SIGNED
    for other in range(LEDGER.size):
        if other != slot:
            with pytest.raises(Tampered, match="do not lead to the root"):
                proof.show_inclusion(letter, LEDGER.stored[other], MODEL, VERIFIER)


def test_what_was_seen_is_proved_to_go_on() -> None:
    for size in range(LEDGER.size + 1):
        old = sign(LEDGER.at(size), SIGNER)
        letter = proof.consistency(LEDGER, size, SIGNER)
        assert letter.startswith(b"old %d\n" % size)
        assert proof.show_consistency(letter, old, VERIFIER) == SIGNED
        other = Checkpoint(MODEL, old.key, size, root([b"another"]))
        if size:
            with pytest.raises(Tampered, match="those that continue"):
                proof.show_consistency(letter, other, VERIFIER)
    with pytest.raises(BadInput, match="size"):
        proof.consistency(LEDGER, LEDGER.size + 1, SIGNER)
    with pytest.raises(BadInput, match="slot"):
        proof.inclusion(LEDGER, LEDGER.size, SIGNER)


def test_every_flipped_bit_of_a_proof_is_refused() -> None:
    old, checked = sign(LEDGER.at(5), SIGNER), 0
    shown = (
        (
            proof.inclusion(LEDGER, 5, SIGNER),
            lambda told: proof.show_inclusion(told, LEDGER.stored[5], MODEL, VERIFIER),
        ),
        (proof.consistency(LEDGER, 5, SIGNER), lambda told: proof.show_consistency(told, old, VERIFIER)),
    )
    for letter, show in shown:
        assert show(letter) == SIGNED
        for bit in range(8 * letter.index(b"\n\n")):
            flipped = bytearray(letter)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises(Tampered):
                show(bytes(flipped))
            checked += 1
    assert checked > 3000


def test_another_key_proves_nothing() -> None:
    letter = proof.inclusion(LEDGER, 0, STRANGER)
    with pytest.raises(Tampered, match="origin"):
        proof.show_inclusion(letter, LEDGER.stored[0], MODEL, VERIFIER)
    assert proof.show_inclusion(letter, LEDGER.stored[0], MODEL, Verifier(STRANGER.public_pem)).size == LEDGER.size
