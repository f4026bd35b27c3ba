"""Signatures of people: OpenSSH's SSHSIG (PROTOCOL.sshsig), as `ssh-keygen -Y sign` makes them.

A person approves in a role, and the role is the signature's namespace, e.g. ``risk@headgate``: so OpenSSH's own
``allowed_signers`` file says who may sign for which role, and `ssh-keygen -Y verify` enforces the same without us.

ECDSA signatures of people may have a high S, as OpenSSH makes them: from one, anybody can derive a second for the same
message. Never tell approvals apart by the bytes of their signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from headgate.errors import BadInput, Tampered
from headgate.signers import AllowedSigners
from headgate.sshkey import RSA_HASHES, PublicKey, Wire, curve_hash, ecdsa_fields, string

__all__ = ["AllowedSigners", "PublicKey", "public_key", "rearm", "sign", "verify"]

_MAGIC, _VERSION = b"SSHSIG", 1
_HASHES = ("sha512", "sha256")
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_ARMOR = re.compile(rf"\s*{_BEGIN}(.*?){_END}\s*", re.DOTALL)
_COLUMNS = 70

_PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def verify(message: bytes, armored: str | bytes, namespace: str) -> PublicKey:
    """The key that signed these bytes in this namespace. Whether it may is the allowed signers' answer.

    A reserved field that is not empty is refused: OpenSSH leaves it out of what is signed, so anybody could fill it.

    Raises:
        BadInput: that is no SSH signature, or its key, hash or version is not accepted.
        Tampered: it is one, but not of this message, in this namespace, by the key it names.
    """
    try:
        key, signed_namespace, digest, signature = _fields(_unarmor(armored))
    except ValueError as error:
        raise _unreadable(str(error)) from error
    if signed_namespace != _checked(namespace):
        raise _refused(key, namespace, f"a signature in the namespace {signed_namespace!r}")
    try:
        key.verify(_to_sign(message, namespace, digest), signature)
    except ValueError as error:
        raise _refused(key, namespace, str(error)) from error
    return key


def sign(private_key: bytes, message: bytes, namespace: str, password: bytes | None = None) -> str:
    """An armored signature of these bytes, as `ssh-keygen -Y sign` makes it.

    Args:
        private_key: in OpenSSH's form or in PEM.
        message: the exact bytes to sign.
        namespace: the role, e.g. ``risk@headgate``.
        password: of the private key, if it has one.

    Raises:
        BadInput: the key cannot be read or is not of an accepted kind, or the namespace is empty.
    """
    key = _private(private_key, password)
    public = _public(key)
    signature = _sign_plain(key, public, _to_sign(message, _checked(namespace), _HASHES[0]))
    fields = (public.blob, namespace.encode(), b"", _HASHES[0].encode(), signature)
    return _armor(_MAGIC + _VERSION.to_bytes(4, "big") + b"".join(map(string, fields)))


def public_key(private_key: bytes, password: bytes | None = None) -> PublicKey:
    """The public half of a private key, which is given as to `sign`. Raises BadInput as it does."""
    return _public(_private(private_key, password))


def new_key() -> bytes:
    """A new Ed25519 private key in OpenSSH's form, without a password; with `signing.new_key`, where randomness is."""
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def rearm(pasted: str | bytes) -> str:
    """The armor as OpenSSH writes it, from a signature whose line breaks were lost or changed on the way.

    Raises:
        BadInput: there is no whole signature in it.
    """
    try:
        return _armor(_unarmor(pasted))
    except ValueError as error:
        raise _unreadable(str(error)) from error


def _unarmor(armored: str | bytes) -> bytes:
    text = armored if isinstance(armored, str) else armored.decode("ascii")
    match = _ARMOR.fullmatch(text)
    if not match:
        raise ValueError(f"{text[:80]!r}")
    body = "".join(match[1].split())
    try:
        data = base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise ValueError(f"broken base64 ({error})") from error
    if base64.b64encode(data).decode() != body:
        raise ValueError("base64 with stray bits at its end")
    return data


def _armor(data: bytes) -> str:
    body = base64.b64encode(data).decode()
    lines = (body[at : at + _COLUMNS] for at in range(0, len(body), _COLUMNS))
    return "\n".join((_BEGIN, *lines, _END, ""))


def _fields(data: bytes) -> tuple[PublicKey, str, str, bytes]:
    wire = Wire(data)
    if wire.take(len(_MAGIC)) != _MAGIC:
        raise ValueError("bytes that do not start with SSHSIG")
    if (version := wire.number()) != _VERSION:
        raise ValueError(f"version {version} of the format")
    blob, namespace, reserved, digest, signature = (
        wire.string(),
        wire.string().decode(),
        wire.string(),
        wire.text(),
        wire.string(),
    )
    wire.end()
    if reserved:
        raise ValueError("something in the reserved field, which no signature covers")
    if digest not in _HASHES:
        raise ValueError(f"the hash {digest!r}")
    return PublicKey(blob), namespace, digest, signature


def _to_sign(message: bytes, namespace: str, digest: str) -> bytes:
    fields = (namespace.encode(), b"", digest.encode(), hashlib.new(digest, message).digest())
    return _MAGIC + b"".join(map(string, fields))


def _checked(namespace: str) -> str:
    if not namespace:
        raise BadInput(
            "namespace of an SSH signature",
            got="nothing",
            expected="the role that signs, e.g. risk@headgate",
            next_step="name the role",
        )
    return namespace


def _private(data: bytes, password: bytes | None) -> _PrivateKey:
    openssh = b"BEGIN OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        key = load(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_private_key(str(error)) from error
    if not isinstance(key, _PrivateKey):
        raise _no_private_key(type(key).__name__)
    return key


def _public(key: _PrivateKey) -> PublicKey:
    try:
        line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except ValueError as error:
        raise _no_private_key(str(error)) from error
    return PublicKey.parse(line.decode())


def _sign_plain(key: _PrivateKey, public: PublicKey, message: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return string(public.kind.encode()) + string(key.sign(message))
    if isinstance(key, rsa.RSAPrivateKey):
        name, digest = next(iter(RSA_HASHES.items()))
        return string(name.encode()) + string(key.sign(message, padding.PKCS1v15(), digest))
    der = key.sign(message, ec.ECDSA(curve_hash(key.curve), deterministic_signing=True))
    return string(public.kind.encode()) + string(ecdsa_fields(der))


def _unreadable(got: str) -> BadInput:
    return BadInput(
        "SSH signature",
        got=got,
        expected=f"everything from {_BEGIN} to {_END}, as `ssh-keygen -Y sign` wrote it, over SHA-256 or SHA-512",
        next_step="copy the whole .sig file again",
    )


def _refused(key: PublicKey, namespace: str, got: str) -> Tampered:
    return Tampered(
        f"SSH signature by {key.fingerprint}",
        got=got,
        expected=f"a valid signature of exactly the bytes shown, in the namespace {namespace!r}",
        next_step=f"sign the unchanged file again with `ssh-keygen -Y sign -n {namespace}`",
    )


def _no_private_key(got: str) -> BadInput:
    return BadInput(
        "private SSH key",
        got=got,
        expected="an Ed25519, ECDSA or RSA key in OpenSSH's form or PEM, and its password if it has one",
        next_step="or sign with `ssh-keygen -Y sign`, which also reads agents, hardware keys and encrypted keys",
    )
