"""Public keys of people, in OpenSSH's wire format (RFC 4253, RFC 5656, RFC 8709, OpenSSH's PROTOCOL.u2f).

Accepted: Ed25519, ECDSA on P-256, P-384 and P-521, RSA of 2048 bits and more, and the hardware-backed (FIDO) variants
of Ed25519 and P-256. Certificates and everything else are refused, and so is any key that is not in its one spelling,
because keys are compared by their bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from headgate.errors import BadInput

ED25519, RSA = "ssh-ed25519", "ssh-rsa"
SK_ED25519, SK_ECDSA = "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"
RSA_HASHES: dict[str, hashes.HashAlgorithm] = {"rsa-sha2-512": hashes.SHA512(), "rsa-sha2-256": hashes.SHA256()}
"""The signature algorithms of RSA keys (RFC 8332); ``ssh-rsa`` itself means SHA-1 and is refused."""

_RSA_BITS = range(2048, 16385)
_CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
_ECDSA = {f"ecdsa-sha2-{curve}": curve for curve in _CURVES} | {SK_ECDSA: "nistp256"}
_KINDS = (ED25519, RSA, *_ECDSA, SK_ED25519)
_TOUCHED = 0x01  # the flag "user present" of a FIDO signature

_Key = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Wire:
    """Reads SSH's length-prefixed fields (RFC 4251, section 5). Raises ValueError where the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise ValueError(f"{size} bytes announced and {len(part)} left")
        self._at += size
        return part

    def number(self) -> int:
        """The next uint32."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """The next string."""
        return self.take(self.number())

    def text(self) -> str:
        """The next string, which must be ASCII."""
        return self.string().decode("ascii")

    def mpint(self) -> int:
        """The next multiple-precision integer, which must be positive and in its shortest form."""
        data = self.string()
        value = int.from_bytes(data, "big")
        if data != _mpint(value) or not value:
            raise ValueError("an integer that is not positive or not in its shortest form")
        return value

    def end(self) -> None:
        """Raises ValueError unless everything has been read."""
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes too many")


def string(data: bytes) -> bytes:
    """SSH's encoding of a string: its length as uint32, and its bytes."""
    return len(data).to_bytes(4, "big") + data


def ecdsa_fields(der: bytes) -> bytes:
    """SSH's encoding of an ECDSA signature that comes in DER (RFC 5656, section 3.1.2)."""
    return b"".join(string(_mpint(part)) for part in utils.decode_dss_signature(der))


@dataclass(frozen=True)
class PublicKey:
    """A public key, known by its wire bytes: two keys are equal if these are.

    Raises:
        BadInput: the bytes are no key of an accepted kind in its one spelling.
    """

    blob: bytes

    def __post_init__(self) -> None:  # the class docstring says what it checks
        try:
            _parts(self.blob)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _refused(str(error)) from error

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """A key from the form of ``id_ed25519.pub``: kind, base64, and a comment that is ignored."""
        words = text.split()
        try:
            blob = base64.b64decode(words[1], validate=True)
        except (IndexError, binascii.Error, ValueError) as error:
            raise _refused(f"{text[:80]!r} ({error})") from error
        key = cls(blob)
        if key.text != " ".join(words[:2]):
            raise _refused(f"{text[:80]!r}, which is another spelling of {key.text[:80]!r}")
        return key

    @property
    def kind(self) -> str:
        """OpenSSH's name of the kind of key, e.g. ``ssh-ed25519``."""
        return Wire(self.blob).text()

    @property
    def text(self) -> str:
        """The kind and the base64 of the key, as in ``id_ed25519.pub``, without a comment."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """``SHA256:`` and unpadded base64, as ``ssh-keygen -l`` shows it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a signature in SSH's wire format, algorithm name included.

        Raises:
            ValueError: it is not a valid signature of this message by this key; the text says why.
        """
        kind, key, application = _parts(self.blob)
        wire = Wire(signature)
        algorithm, value = wire.text(), wire.string()
        if algorithm not in (RSA_HASHES if kind == RSA else (kind,)):
            raise ValueError(f"the signature algorithm {algorithm!r} for a key of the kind {kind}")
        if application is not None:
            message = _fido_message(wire, application, message)
        wire.end()
        try:
            _verify_plain(key, algorithm, value, message)
        except InvalidSignature:
            raise ValueError("a signature that does not match the message and the key") from None


def _verify_plain(key: _Key, algorithm: str, value: bytes, message: bytes) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(value, message)
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(value, message, padding.PKCS1v15(), RSA_HASHES[algorithm])
    else:
        wire = Wire(value)
        der = utils.encode_dss_signature(wire.mpint(), wire.mpint())
        wire.end()
        key.verify(der, message, ec.ECDSA(curve_hash(key.curve)))


def curve_hash(curve: ec.EllipticCurve) -> hashes.HashAlgorithm:
    """The hash that goes with a curve (RFC 5656, section 6.2.1). Raises ValueError for another curve."""
    for known, digest in _CURVES.values():
        if known.name == curve.name:
            return digest
    raise ValueError(f"the curve {curve.name}")


def _fido_message(wire: Wire, application: bytes, message: bytes) -> bytes:
    flags, counter = wire.take(1), wire.take(4)
    if not flags[0] & _TOUCHED:
        raise ValueError("a hardware key's signature that nobody touched the key for")
    return hashlib.sha256(application).digest() + flags + counter + hashlib.sha256(message).digest()


def _parts(blob: bytes) -> tuple[str, _Key, bytes | None]:
    wire = Wire(blob)
    kind = wire.text()
    if kind not in _KINDS:
        raise ValueError(f"a key of the kind {kind!r}")
    key = _ec(wire, kind) if kind in _ECDSA else _rsa(wire) if kind == RSA else _ed25519(wire)
    application = wire.string() if kind in (SK_ED25519, SK_ECDSA) else None
    wire.end()
    return kind, key, application


def _ed25519(wire: Wire) -> _Key:
    return ed25519.Ed25519PublicKey.from_public_bytes(wire.string())


def _ec(wire: Wire, kind: str) -> _Key:
    curve, point = wire.text(), wire.string()
    if curve != _ECDSA[kind] or point[:1] != b"\x04":
        raise ValueError(f"a point of the curve {curve!r} that is compressed or does not fit {kind}")
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve][0], point)


def _rsa(wire: Wire) -> _Key:
    exponent, modulus = wire.mpint(), wire.mpint()
    if modulus.bit_length() not in _RSA_BITS:
        raise ValueError(f"an RSA key of {modulus.bit_length()} bits")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _mpint(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big") if value else b""


def _refused(got: str) -> BadInput:
    return BadInput(
        "public SSH key",
        got=got,
        expected="one of " + ", ".join(_KINDS) + " (RSA from 2048 bits), in OpenSSH's form",
        next_step="use a key made by `ssh-keygen -t ed25519`, and copy the line of its .pub file",
    )
