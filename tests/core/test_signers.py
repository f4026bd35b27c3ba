from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from headgate.errors import BadInput
from headgate.sshkey import PublicKey
from headgate.sshsig import AllowedSigners, sign, verify

RISK = "risk@headgate"
MESSAGE = b'{"decision":"approve"}\n'
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ANN, BOB = (
    ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    for seed in (1, 2)
)


@pytest.fixture(scope="module")
def ann() -> PublicKey:
    return verify(b"", sign(ANN, b"", RISK), RISK)


@pytest.fixture(scope="module")
def bob() -> PublicKey:
    return verify(b"", sign(BOB, b"", RISK), RISK)


def test_allowed_signers_says_who_for_what_and_when(ann: PublicKey, bob: PublicKey) -> None:
    signers = AllowedSigners.parse(
        f"# people\n\n"
        f'ann@example.org namespaces="{RISK}",valid-after="20260101Z",valid-before="20270101Z" {ann.text} ann\n'
        f'bob@example.org  namespaces="product@headgate,legal@headgate"\t{bob.text}\n'
    )
    assert signers.who(ann, RISK, NOON) == ("ann@example.org",)
    assert signers.who(bob, "legal@headgate", NOON) == ("bob@example.org",)
    attacks = {
        "another role": signers.who(ann, "product@headgate", NOON),
        "another key": signers.who(bob, RISK, NOON),
        "a longer role": signers.who(ann, RISK + "x", NOON),
        "the role in capitals": signers.who(ann, RISK.upper(), NOON),
        "no role": signers.who(ann, "", NOON),
        "not yet valid": signers.who(ann, RISK, datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)),
        "expired": signers.who(ann, RISK, datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC)),
    }
    assert attacks == dict.fromkeys(attacks, ())
    assert signers.keys_of("ann@example.org") == (ann,)
    assert signers.keys_of("eve@example.org") == ()
    with pytest.raises(BadInput, match="time zone"):
        signers.who(ann, RISK, datetime(2026, 7, 1))


def test_a_key_may_have_several_lines_and_a_line_several_people(ann: PublicKey, bob: PublicKey) -> None:
    signers = AllowedSigners.parse(
        f'ann,anna namespaces="{RISK}" {ann.text}\nann namespaces="legal@headgate" {ann.text}\n'
        f'ann namespaces="*@headgate,!{RISK}" {bob.text}\n'
    )
    assert signers.who(ann, RISK, NOON) == ("ann", "anna")
    assert signers.keys_of("ann") == (ann, bob)
    assert signers.who(bob, RISK, NOON) == ()
    assert signers.who(bob, "any@headgate", NOON) == ("ann",)
    assert signers.who(bob, "any@elsewhere", NOON) == ()


def test_a_pattern_names_nobody_but_its_keys_are_found(ann: PublicKey) -> None:
    signers = AllowedSigners.parse(f'*@example.org,!eve@example.org,eve@example.org namespaces="{RISK}" {ann.text}')
    assert signers.who(ann, RISK, NOON) == ()
    assert signers.keys_of("bob@example.org") == (ann,)
    assert signers.keys_of("eve@example.org") == signers.keys_of("bob@example_org") == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ann {key}", "no option"),
        ('ann cert-authority,namespaces="r" {key}', "cert-authority"),
        ("ann cert-authority {key}", "cert-authority"),
        ('ann valid-after="20260101Z" {key}', "missing"),
        ('ann namespaces="" {key}', "missing"),
        ('ann namespaces="a,,b" {key}', "empty part"),
        ('ann namespaces="a, b" {key}', "space"),
        ("ann namespaces=a {key}", "no option"),
        ('ann namespaces="a",namespaces="b" {key}', "repeated"),
        ('ann namespaces="a", {key}', "no option"),
        ('ann namespaces="a"valid-after="20260101Z" {key}', "no option"),
        ('ann namespaces="a",valid-after="20260101" {key}', "add a Z"),
        ('ann namespaces="a",valid-before="20260101120000" {key}', "add a Z"),
        ('ann namespaces="a",valid-before="20261301Z" {key}', "line 2"),
        ('ann namespaces="a",valid-before="2026Z" {key}', "none of"),
        ('ann namespaces="a",valid-before="2026\u0661\u0661\u0661\u0661Z" {key}', "none of"),
        ('ann namespaces="a",valid-after="20270101Z",valid-before="20260101Z" {key}', "not after"),
        ('ann namespaces="a",no-touch-required {key}', "no-touch-required"),
        ('"ann b" namespaces="a" {key}', "no such line"),
        (',ann namespaces="a" {key}', "empty part"),
        ('ann namespaces="a" ssh-ed25519', "no such line|public SSH key"),
        ('ann namespaces="a" ssh-rsa AAAA', "public SSH key"),
        ('ann namespaces="a" {key}\u2028eve namespaces="a" {key}', "no such line"),
        ("ann", "no such line"),
    ],
)
def test_a_bad_line_is_named_with_its_number(ann: PublicKey, line: str, why: str) -> None:
    with pytest.raises(BadInput, match=rf"line 2: (.|\n)*({why})|{why}") as caught:
        AllowedSigners.parse("# who\n" + line.replace("{key}", ann.text))
    assert "line 2" in str(caught.value)


def test_a_line_hidden_behind_a_comment_stays_a_comment(ann: PublicKey) -> None:
    for separator in "\r\x0b\x0c\x1c\x85\u2028":
        assert AllowedSigners.parse(f'# note{separator}eve namespaces="a" {ann.text}').lines == ()


def test_all_bad_lines_are_named_at_once(ann: PublicKey) -> None:
    with pytest.raises(BadInput, match=r"line 1: .*line 3: "):
        AllowedSigners.parse(f'x\nann namespaces="a" {ann.text}\ny\n')


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize("options", ['valid-after="20260701120000Z"', 'valid-before="202607011200Z"', ""])
@pytest.mark.parametrize("principals", ["ann", "bob", "a*,!anna", "ann,!ann", "a?n", "*"])
def test_we_allow_what_ssh_keygen_allows(options: str, principals: str, tmp_path: Path) -> None:
    allowed, signature = tmp_path / "allowed", tmp_path / "sig"
    signature.write_text(sign(ANN, MESSAGE, RISK))
    key, answers = verify(MESSAGE, signature.read_text(), RISK), set()
    for namespaces in (RISK, "*@headgate", f"*,!{RISK}"):
        said = ",".join(filter(None, (f'namespaces="{namespaces}"', options)))
        allowed.write_text(f"{principals} {said} {key.text}\n")
        signers = AllowedSigners.parse(allowed.read_text())
        for at in (NOON + timedelta(seconds=shift) for shift in (-1, 0, 1)):
            when = f"-Overify-time={at:%Y%m%d%H%M%SZ}"
            command = ["ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "ann", "-n", RISK, "-s", signature, when]
            theirs = subprocess.run(command, input=MESSAGE, capture_output=True, check=False)
            ours = signers.lines[0].allows(key, RISK, at) and signers.keys_of("ann") == (key,)
            assert ours == (theirs.returncode == 0), (allowed.read_text(), at)
            answers.add(ours)
    assert False in answers
