"""Checkpoints: a size and a root of a ledger, signed by the pipeline's key, in the form that transparency logs use.

The text is that of c2sp.org/tlog-checkpoint, the signature that of c2sp.org/signed-note with ECDSA (its type 0x02, the
one of Sigstore's Rekor): whoever verifies Rekor's checkpoints verifies these. The origin names model and key, so that
two homes that release a model of the same name keep two ledgers. A checkpoint is derived: the same ledger and key
always give the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from headgate.canonical import digits
from headgate.entry import Digest
from headgate.errors import Tampered
from headgate.ledger import Ledger
from headgate.signing import Signer, Verifier

LIMIT = 2**17
"""The most bytes of a note: what the sixteen largest signatures that its specification asks for need, and more."""

ORIGIN = "headgate/"
"""How the text of every checkpoint of ours begins."""

_LINES = 64
_SIZE = re.compile(r"0|[1-9][0-9]{0,8}|1000000000")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_ORIGIN = re.compile(rb"headgate/([A-Za-z0-9][A-Za-z0-9._-]{0,99})@[0-9a-f]{64}")
_NAME = re.compile(r"[^\s+]+")


@dataclass(frozen=True)
class Checkpoint:
    """What somebody who saw a ledger can keep of it.

    Attributes:
        model, key: whose ledger, and the id of the pipeline's key. size, root: of the ledger, as an approval has them.
        signature: by that key over `text`, base64 of DER. extensions: further lines of the text; we write none.
    """

    model: str
    key: Digest
    size: int
    root: Digest
    signature: str = ""
    extensions: tuple[str, ...] = field(default=())

    @property
    def origin(self) -> str:
        """The name of the ledger among all ledgers, which is also the name of the key in the note."""
        return origin(self.model, self.key)

    @property
    def text(self) -> bytes:
        """What is signed."""
        root = base64.b64encode(bytes.fromhex(digits(self.root))).decode()
        return "".join(f"{line}\n" for line in (self.origin, self.size, root, *self.extensions)).encode()

    @property
    def note(self) -> bytes:
        """The signed note, with this one signature."""
        signature = base64.b64encode(_hint(self.key) + base64.b64decode(self.signature)).decode()
        return self.text + f"\n— {self.origin} {signature}\n".encode()


def origin(model: str, key: Digest) -> str:
    """The origin of the ledger of a model under a key."""
    return f"{ORIGIN}{model}@{key.removeprefix('sha256:')}"


def model_of(note: bytes) -> str:
    """The model of whose ledger a note claims to be; it counts only once `read` has verified the note.

    Raises:
        Tampered: its first line is no origin of ours.
    """
    head = note[:LIMIT].partition(b"\n")[0]
    named = _ORIGIN.fullmatch(head)
    if named is None:
        raise _no_checkpoint(f"the origin {head[:200]!r}", f"{ORIGIN}MODEL@KEY")
    return named[1].decode()


def sign(ledger: Ledger, signer: Signer) -> Checkpoint:
    """The checkpoint of a ledger as it stands."""
    plain = Checkpoint(ledger.model, signer.key_id, ledger.size, ledger.root())
    return Checkpoint(plain.model, plain.key, plain.size, plain.root, signer.sign(plain.text))


def read(note: bytes, model: str, verifier: Verifier) -> Checkpoint:
    """The checkpoint of a signed note, with our signature alone; those of keys that we do not know are passed over.

    Raises:
        Tampered: it is no checkpoint in its one spelling, of another ledger, or not signed by this key.
    """
    text, signatures = _parts(note)
    head, *lines = text.removesuffix("\n").split("\n")
    expected = origin(model, verifier.key_id)
    if head != expected:
        raise _no_checkpoint(f"the origin {head[:200]!r}", f"{expected}, the ledger of {model} under this key")
    if len(lines) < 2 or not all(lines) or not _SIZE.fullmatch(lines[0]):
        raise _no_checkpoint(repr(text[:300]), "a size without leading zeros, and a root; no empty line")
    root = "sha256:" + _decoded(lines[1], 32).hex()
    ours = [known for name, known in signatures if name == head and known[:4] == _hint(verifier.key_id)]
    told = [base64.b64encode(known[4:]).decode() for known in ours]
    if not told or not all(verifier.verify(text.encode(), one) for one in told):
        raise _no_checkpoint(f"{len(told)} signature(s) in the name of {head}", f"one by the key {verifier.key_id}")
    return Checkpoint(model, verifier.key_id, int(lines[0]), root, told[0], tuple(lines[2:]))


def _parts(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """The text of a note, and the names and decoded signatures below it."""
    try:
        told = note[: LIMIT + 1].decode()
    except UnicodeDecodeError as error:
        raise _no_checkpoint(f"bytes that are no UTF-8: {error}", "a signed note") from error
    text, blank, below = told.rpartition("\n\n")
    if len(note) > LIMIT or not blank or not below.endswith("\n") or _CONTROLS.search(told):
        raise _no_checkpoint(
            f"{len(note):,} bytes, {told[:120]!r}", f"text, empty line, signatures, of {LIMIT:,} bytes"
        )
    lines = below.removesuffix("\n").split("\n")
    if len(lines) > _LINES:
        raise _no_checkpoint(f"{len(lines)} signatures", f"at most {_LINES}")
    return text + "\n", list(_signatures(lines))


def _signatures(lines: list[str]) -> Iterator[tuple[str, bytes]]:
    for line in lines:
        dash, name, signature, *more = [*line.split(" "), "", ""]
        known = _decoded(signature)
        if dash != "—" or not _NAME.fullmatch(name) or any(more) or line.count(" ") != 2 or len(known) < 5:
            raise _no_checkpoint(f"the line {line[:200]!r}", "an em dash, a name and a signature in base64")
        yield name, known


def _decoded(text: str, size: int | None = None) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _no_checkpoint(f"{text[:100]!r}: {error}", "base64") from error
    if base64.b64encode(data).decode() != text or size not in (None, len(data)):
        raise _no_checkpoint(
            f"{text[:100]!r}, {len(data)} bytes", f"base64 of {size or 'some'} bytes in its one spelling"
        )
    return data


def _hint(key: Digest) -> bytes:
    # Of this type of signature it is the beginning of the SHA-256 of the key in DER, which is our own key id.
    return bytes.fromhex(digits(key))[:4]


def _no_checkpoint(got: str, expected: str) -> Tampered:
    return Tampered(
        "checkpoint", got=got, expected=expected, next_step="get it again from whoever keeps it, as it was written"
    )
