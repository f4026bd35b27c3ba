from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from headgate.errors import BadInput
from headgate.signing import ORDER, Signer, Verifier, new_key

# RFC 6979, appendix A.2.5: key, and signatures with SHA-256.
RFC_KEY = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_SIGNATURES = {
    b"sample": (
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    b"test": (
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
}


def pem_of(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer(pem_of(ec.derive_private_key(RFC_KEY, ec.SECP256R1())))


@pytest.mark.parametrize(("message", "expected"), RFC_SIGNATURES.items())
def test_signatures_are_those_of_rfc_6979_with_low_s(signer: Signer, message: bytes, expected: tuple[int, int]) -> None:
    r, s = utils.decode_dss_signature(base64.b64decode(signer.sign(message)))
    assert (r, s) == (expected[0], min(expected[1], ORDER - expected[1]))
    assert Verifier(signer.public_pem).verify(message, signer.sign(message))


def test_the_other_valid_signature_is_refused(signer: Signer) -> None:
    high = utils.encode_dss_signature(*RFC_SIGNATURES[b"sample"])
    key = serialization.load_pem_public_key(signer.public_pem)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(high, b"sample", ec.ECDSA(hashes.SHA256()))  # it is valid ECDSA
    assert not Verifier(signer.public_pem).verify(b"sample", base64.b64encode(high).decode())


def test_every_flipped_bit_of_signature_and_message_is_refused(signer: Signer) -> None:
    verifier, message, signature = Verifier(signer.public_pem), b"promote 7", signer.sign(b"promote 7")
    assert verifier.verify(message, signature)
    der, checked = base64.b64decode(signature), 0
    for bit in range(len(der) * 8):
        changed = bytearray(der)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verifier.verify(message, base64.b64encode(changed).decode())
        checked += 1
    for bit in range(len(signature) * 8):
        text = bytearray(signature.encode())
        text[bit // 8] ^= 1 << bit % 8
        assert not verifier.verify(message, text.decode("latin-1"))
        checked += 1
    for bit in range(len(message) * 8):
        other = bytearray(message)
        other[bit // 8] ^= 1 << bit % 8
        assert not verifier.verify(bytes(other), signature)
        checked += 1
    assert checked == 8 * (len(der) + len(signature) + len(message)) > 1000


def test_other_spellings_of_the_same_signature_are_refused(signer: Signer) -> None:
    verifier, signature = Verifier(signer.public_pem), signer.sign(b"m")
    r, s = utils.decode_dss_signature(base64.b64decode(signature))
    der = base64.b64decode(signature)
    long_length = b"\x30\x81" + der[1:]
    fixed_width = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    others = [
        signature + "\n",
        " " + signature,
        signature.rstrip("="),
        signature + "====",
        der.hex(),
        "",
        "é",
        *(base64.b64encode(data).decode() for data in (der + b"\x00", long_length, fixed_width)),
    ]
    assert [verifier.verify(b"m", other) for other in others] == [False] * len(others)
    assert verifier.verify(b"m", signature)


@pytest.mark.parametrize(("r", "s"), [(0, 0), (0, 1), (1, 0), (ORDER, 1), (1, ORDER)])
def test_degenerate_signatures_are_refused(signer: Signer, r: int, s: int) -> None:
    forged = base64.b64encode(utils.encode_dss_signature(r, s)).decode()
    assert not Verifier(signer.public_pem).verify(b"m", forged)


def test_another_key_does_not_verify_and_has_another_id(signer: Signer) -> None:
    other = Signer(new_key())
    assert other.key_id != signer.key_id
    assert not Verifier(other.public_pem).verify(b"m", signer.sign(b"m"))
    assert Verifier(other.public_pem).key_id == other.key_id


def test_key_id_is_the_digest_of_the_der_form(signer: Signer) -> None:
    body = "".join(signer.public_pem.decode().splitlines()[1:-1])
    assert signer.key_id == "sha256:" + hashlib.sha256(base64.b64decode(body)).hexdigest()


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(pem: bytes) -> None:
    with pytest.raises(BadInput, match="private key"):
        Signer(pem)
    with pytest.raises(BadInput, match="public key"):
        Verifier(pem)


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()])
def test_other_kinds_of_key_are_refused(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(BadInput, match="P-256"):
        Signer(pem_of(key))
    with pytest.raises(BadInput, match="P-256"):
        Verifier(public)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_verifies_what_we_sign(signer: Signer, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(signer.public_pem)
    (tmp_path / "sig").write_bytes(base64.b64decode(signer.sign(b"evidence")))
    command = ["openssl", "dgst", "-sha256", "-verify", tmp_path / "key.pem", "-signature", tmp_path / "sig"]
    assert subprocess.run(command, input=b"evidence", check=False, capture_output=True).returncode == 0
    assert subprocess.run(command, input=b"evidencE", check=False, capture_output=True).returncode != 0
