"""The pipeline's machine key: ECDSA on P-256 with SHA-256 (FIPS 186-5), which outside tools verify too.

Nobody without the key can turn one signature into a second that verifies: S must be in the lower half of the group
order, and only the one DER and base64 spelling is accepted. So a signed ledger entry has one form. The signer's nonces
are deterministic (RFC 6979). A signature says that the holder of the key signed, not when, and not that it was right.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from headgate.canonical import digest_of
from headgate.errors import BadInput

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the group of P-256 (SEC 2, section 2.4.2)."""


def new_key() -> bytes:
    """A new private key, as unencrypted PKCS #8 PEM.

    This is the one place of the core that draws random numbers: a key that could be computed again would be none.
    """
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Signer:
    """Signs with a private key.

    Args:
        pem: an unencrypted P-256 private key in PEM.

    Raises:
        BadInput: it is something else.
    """

    def __init__(self, pem: bytes) -> None:
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _no_key("private", str(error)) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise _no_key("private", type(key).__name__)
        self._key = key
        self.public_pem: bytes = _spelled(key.public_key())
        self.key_id: str = _key_id(key.public_key())

    def sign(self, data: bytes) -> str:
        """The signature of some bytes, as base64 of DER; the same bytes always get the same one."""
        der = self._key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = utils.decode_dss_signature(der)
        return _spell(r, min(s, ORDER - s))


class Verifier:
    """Verifies signatures of one public key.

    Args:
        public_pem: a P-256 public key in PEM.

    Raises:
        BadInput: it is something else.
    """

    def __init__(self, public_pem: bytes) -> None:
        try:
            key = serialization.load_pem_public_key(public_pem)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _no_key("public", str(error)) from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise _no_key("public", type(key).__name__)
        self._key = key
        self.public_pem: bytes = _spelled(key)
        self.key_id: str = _key_id(key)

    def verify(self, data: bytes, signature: str) -> bool:
        """Whether this is the signature of these bytes by this key, in its one spelling."""
        try:
            der = base64.b64decode(signature, validate=True)
            r, s = utils.decode_dss_signature(der)
            if s > ORDER // 2 or _spell(r, s) != signature:
                return False
            self._key.verify(der, data, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def _spell(r: int, s: int) -> str:
    return base64.b64encode(utils.encode_dss_signature(r, s)).decode()


def _spelled(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _key_id(key: ec.EllipticCurvePublicKey) -> str:
    return digest_of(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def _no_key(kind: str, got: str) -> BadInput:
    return BadInput(
        f"{kind} key of the pipeline",
        got=got,
        expected=f"an unencrypted {kind} key on the curve P-256 (prime256v1), in PEM",
        next_step="make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`, or `headgate init`",
    )
