from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from headgate.errors import BadInput, HeadgateError, Tampered
from headgate.sshkey import PublicKey, string
from headgate.sshsig import public_key, rearm, sign, verify

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors" / "sshsig"
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="foreign vectors (openssh-portable) are not here")
needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")

RISK = "risk@headgate"
MESSAGE = b'{"decision":"approve"}\n'
KINDS = ("ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048", "rsa-3072")

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def made(kind: str) -> PrivateKey:
    name, _, bits = kind.partition("-")
    if name == "rsa":
        return rsa.generate_private_key(65537, int(bits))
    if name == "ecdsa":
        curves = {"256": ec.SECP256R1(), "384": ec.SECP384R1(), "521": ec.SECP521R1()}
        return ec.generate_private_key(curves[bits])
    return ed25519.Ed25519PrivateKey.generate()


def private_bytes(key: PrivateKey, form: str = "OpenSSH") -> bytes:
    encryption = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), encryption)


def public_of(key: PrivateKey) -> PublicKey:
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return PublicKey.parse(line.decode())


@pytest.fixture(scope="module")
def keys() -> dict[str, PrivateKey]:
    return {kind: made(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def ed_private(keys: dict[str, PrivateKey]) -> bytes:
    return private_bytes(keys["ed25519"])


def armored(data: bytes) -> str:
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(data).decode()}\n-----END SSH SIGNATURE-----\n"


def body(signature: str) -> bytes:
    return base64.b64decode("".join(signature.split("\n")[1:-2]))


def envelope(
    blob: bytes, signature: bytes, namespace: bytes = RISK.encode(), reserved: bytes = b"", digest: bytes = b"sha512"
) -> str:
    return armored(b"SSHSIG\x00\x00\x00\x01" + b"".join(map(string, (blob, namespace, reserved, digest, signature))))


def keygen(*arguments: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh-keygen", *map(str, arguments)], input=data, capture_output=True, check=False)


@needs_vectors
@pytest.mark.parametrize("name", ["ed25519", "ecdsa", "rsa", "ed25519_sk", "ecdsa_sk"])
def test_signatures_of_openssh_verify(name: str) -> None:
    message, signature = (VECTORS / "signed-data").read_bytes(), (VECTORS / f"{name}.sig").read_text()
    assert verify(message, signature, "unittest") == PublicKey.parse((VECTORS / f"{name}.pub").read_text())
    assert rearm(signature) == signature
    with pytest.raises(Tampered, match="namespace 'unittest'"):
        verify(message, signature, RISK)
    with pytest.raises(Tampered, match="does not match"):
        verify(message + b"\n", signature, "unittest")


@needs_vectors
@pytest.mark.parametrize(("name", "why"), [("ecdsa_sk_webauthn", "webauthn"), ("mldsa44-ed25519", "mldsa44")])
def test_kinds_that_are_not_supported_are_refused_by_name(name: str, why: str) -> None:
    with pytest.raises(HeadgateError, match=why):
        verify((VECTORS / "signed-data").read_bytes(), (VECTORS / f"{name}.sig").read_text(), "unittest")


@needs_vectors
@pytest.mark.parametrize("name", ["ed25519", "ed25519_sk"])
def test_every_flipped_bit_of_a_foreign_signature_is_refused(name: str) -> None:
    data, checked = body((VECTORS / f"{name}.sig").read_text()), 0
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(HeadgateError):
            verify(b"This is a test, this is only a test", armored(changed), "unittest")
        checked += 1
    assert checked == len(data) * 8 > 1400


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["OpenSSH", "PKCS8"])
def test_what_we_sign_verifies(keys: dict[str, PrivateKey], kind: str, form: str) -> None:
    key = keys[kind]
    assert verify(MESSAGE, sign(private_bytes(key, form), MESSAGE, RISK), RISK) == public_of(key)


@needs_ssh_keygen
@pytest.mark.parametrize("kind", KINDS)
def test_ssh_keygen_verifies_what_we_sign(keys: dict[str, PrivateKey], kind: str, tmp_path: Path) -> None:
    key = keys[kind]
    (tmp_path / "allowed").write_text(f'ann namespaces="{RISK}" {public_of(key).text}\n')
    (tmp_path / "sig").write_text(sign(private_bytes(key), MESSAGE, RISK))
    command = ("-Y", "verify", "-f", tmp_path / "allowed", "-I", "ann", "-n", RISK, "-s", tmp_path / "sig")
    assert keygen(*command, data=MESSAGE).returncode == 0
    assert keygen(*command, data=MESSAGE + b"x").returncode != 0


@needs_ssh_keygen
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048"])
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_what_ssh_keygen_signs_verifies(kind: str, digest: str, tmp_path: Path) -> None:
    name, _, bits = kind.partition("-")
    size = ("-b", bits) if bits else ()
    assert keygen("-q", "-t", name, *size, "-N", "", "-C", "ann", "-f", tmp_path / "key").returncode == 0
    signed = keygen("-Y", "sign", "-f", tmp_path / "key", "-n", RISK, f"-Ohashalg={digest}", data=MESSAGE)
    key = verify(MESSAGE, signed.stdout, RISK)
    assert key == PublicKey.parse((tmp_path / "key.pub").read_text())
    assert key.fingerprint in keygen("-l", "-f", tmp_path / "key.pub").stdout.decode().split()
    assert sign((tmp_path / "key").read_bytes(), MESSAGE, RISK).startswith("-----BEGIN SSH SIGNATURE-----\n")


@needs_ssh_keygen
def test_our_ed25519_signature_is_byte_for_byte_that_of_ssh_keygen(ed_private: bytes, tmp_path: Path) -> None:
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_bytes(ed_private)
    signed = keygen("-Y", "sign", "-f", tmp_path / "key", "-n", RISK, data=MESSAGE)
    assert sign(ed_private, MESSAGE, RISK) == signed.stdout.decode()


def test_every_flipped_bit_of_our_signature_is_refused(ed_private: bytes) -> None:
    data = body(sign(ed_private, MESSAGE, RISK))
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(HeadgateError):
            verify(MESSAGE, armored(changed), RISK)
    for bit in range(len(MESSAGE) * 8):
        other = bytearray(MESSAGE)
        other[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Tampered):
            verify(bytes(other), armored(data), RISK)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.replace("\n", " "),
        lambda s: s.replace("\n", ""),
        lambda s: s.replace("\n", "\r\n"),
        lambda s: "\n\n  " + s.replace("\n", "\n    ") + "\n",
        lambda s: s.replace("\n", "\u00a0"),
    ],
)
def test_a_signature_whose_lines_were_lost_is_mended(ed_private: bytes, change: object) -> None:
    assert callable(change)
    signature = sign(ed_private, MESSAGE, RISK)
    assert rearm(change(signature)) == signature
    assert verify(MESSAGE, change(signature), RISK).kind == "ssh-ed25519"


@pytest.mark.parametrize(
    "change",
    [
        lambda s: "",
        lambda s: s[:-30],
        lambda s: s + "x",
        lambda s: s + s,
        lambda s: s.replace("U1NI", "U1N!", 1),
        lambda s: s.replace("U1NI", "U1N\u0399", 1),
        lambda s: s.replace("\n-----END", "=\n-----END"),
        lambda s: s.replace("SSH SIGNATURE", "PGP SIGNATURE"),
        lambda s: s.encode("utf-16"),
    ],
)
def test_a_broken_armor_is_refused(ed_private: bytes, change: object) -> None:
    assert callable(change)
    broken = change(sign(ed_private, MESSAGE, RISK))
    for call in (lambda: rearm(broken), lambda: verify(MESSAGE, broken, RISK)):
        with pytest.raises(BadInput, match="SSH signature"):
            call()


def test_parts_that_are_no_part_of_the_format_are_refused(ed_private: bytes) -> None:
    good = body(sign(ed_private, MESSAGE, RISK))
    blob, signature = good[14:65], good[-83:]
    assert verify(MESSAGE, envelope(blob, signature), RISK)
    other_hash = body(sign(ed_private, MESSAGE, RISK)).replace(b"sha512", b"sha256")
    for wrong, why in (
        (armored(good + b"\x00"), "too many"),
        (armored(b"SSHSIX" + good[6:]), "SSHSIG"),
        (armored(good[:9] + b"\x02" + good[10:]), "version 2"),
        (armored(good[:-1]), "announced"),
        (envelope(blob, signature, reserved=b"x"), "reserved"),
        (envelope(blob, signature, digest=b"sha1"), "sha1"),
        (envelope(blob, signature, digest=b"md5"), "md5"),
        (envelope(blob, signature + b"\x00"), "too many"),
        (envelope(blob + b"\x00", signature), "too many"),
        (envelope(blob, signature, namespace=b""), "namespace ''"),
        (armored(other_hash), "does not match"),
        (envelope(string(b"ssh-ed25519-cert-v01@openssh.com") + blob[15:], signature), "cert-v01"),
        (envelope(string(b"ssh-dss") + blob[15:], signature), "ssh-dss"),
    ):
        with pytest.raises(HeadgateError, match=why):
            verify(MESSAGE, wrong, RISK)


def test_an_empty_namespace_is_nobodys_role(ed_private: bytes) -> None:
    with pytest.raises(BadInput, match="namespace"):
        sign(ed_private, MESSAGE, "")
    with pytest.raises(BadInput, match="namespace"):
        verify(MESSAGE, sign(ed_private, MESSAGE, RISK), "")


def test_sha1_and_algorithms_of_other_keys_are_refused(keys: dict[str, PrivateKey]) -> None:
    data = body(sign(private_bytes(keys["rsa-2048"]), MESSAGE, RISK))
    blob = public_of(keys["rsa-2048"]).blob
    value = data[-256:]
    for algorithm in (b"ssh-rsa", b"ssh-ed25519", b"rsa-sha2-256"):
        with pytest.raises(Tampered):
            verify(MESSAGE, envelope(blob, string(algorithm) + string(value)), RISK)
    assert verify(MESSAGE, envelope(blob, string(b"rsa-sha2-512") + string(value)), RISK)


def test_a_short_rsa_key_is_refused() -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505  # weak on purpose
    with pytest.raises(BadInput, match="1024 bits"):
        public_of(key)
    with pytest.raises(BadInput, match="1024 bits"):
        sign(private_bytes(key), MESSAGE, RISK)


def test_a_hardware_key_must_have_been_touched() -> None:
    # The foreign vectors show that we verify what real hardware signs; here we play the hardware.
    private, application = ed25519.Ed25519PrivateKey.generate(), b"ssh:"
    point = private.public_key().public_bytes_raw()
    blob = b"".join(map(string, (b"sk-ssh-ed25519@openssh.com", point, application)))
    inner = b"SSHSIG" + b"".join(map(string, (RISK.encode(), b"", b"sha512", hashlib.sha512(MESSAGE).digest())))

    def signed(flags: bytes, told: bytes) -> str:
        text = hashlib.sha256(application).digest() + flags + b"\x00\x00\x00\x07" + hashlib.sha256(inner).digest()
        value = string(b"sk-ssh-ed25519@openssh.com") + string(private.sign(text)) + told + b"\x00\x00\x00\x07"
        return envelope(blob, value)

    assert verify(MESSAGE, signed(b"\x01", b"\x01"), RISK).blob == blob
    with pytest.raises(Tampered, match="touched"):
        verify(MESSAGE, signed(b"\x00", b"\x00"), RISK)
    with pytest.raises(Tampered, match="does not match"):
        verify(MESSAGE, signed(b"\x00", b"\x01"), RISK)


def test_keys_have_one_spelling(keys: dict[str, PrivateKey]) -> None:
    n = keys["rsa-2048"].public_key().public_numbers()  # type: ignore[union-attr]
    exponent, modulus = b"\x01\x00\x01", n.n.to_bytes(257, "big")  # type: ignore[union-attr]
    assert PublicKey(b"".join(map(string, (b"ssh-rsa", exponent, modulus)))) == public_of(keys["rsa-2048"])
    for parts in ((b"ssh-rsa", b"\x00" + exponent, modulus), (b"ssh-rsa", exponent, modulus[1:])):
        with pytest.raises(BadInput):
            PublicKey(b"".join(map(string, parts)))
    curve = keys["ecdsa-256"].public_key()
    short = curve.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    for point in (short, b"\x04" + bytes(64)):
        with pytest.raises(BadInput):
            PublicKey(b"".join(map(string, (b"ecdsa-sha2-nistp256", b"nistp256", point))))


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA=="])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="public SSH key"):
        PublicKey.parse(text)


def test_a_private_key_with_a_password(keys: dict[str, PrivateKey]) -> None:
    key = keys["ecdsa-256"]
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    )
    assert verify(MESSAGE, sign(locked, MESSAGE, RISK, password=b"pw"), RISK) == public_of(key)
    assert public_key(locked, b"pw") == public_of(key)
    for password in (None, b"wrong"):
        with pytest.raises(BadInput, match="private SSH key"):
            sign(locked, MESSAGE, RISK, password)


def test_a_curve_that_openssh_does_not_know_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    for call in (lambda: public_key(private_bytes(key, "PKCS8")), lambda: sign(private_bytes(key, "PKCS8"), b"", RISK)):
        with pytest.raises(BadInput, match="SSH key"):
            call()
