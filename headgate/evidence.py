"""Evidence: bytes stored under their own SHA-256 digest, so that a digest in the ledger leads to bytes."""

from __future__ import annotations

from headgate.canonical import DIGEST, digest_of, digits
from headgate.errors import BadInput, Tampered, Unavailable
from headgate.store import Store


class Evidence:
    """The evidence in a store. Bytes are verified on the way out and on a second way in."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, data: bytes) -> str:
        """Store bytes and return their digest; storing the same bytes again changes nothing.

        Raises:
            Tampered: other bytes are already stored under this digest.
            Unavailable: the store failed.
        """
        digest = digest_of(data)
        if not self._store.put(_name(digest), data):
            self.get(digest)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a digest.

        Raises:
            BadInput: that is no digest.
            Tampered: the stored bytes do not have this digest.
            Unavailable: nothing is stored under it, or the store failed.
        """
        data = self._store.get(_name(digest))
        if data is None:
            raise _absent(digest)
        if digest_of(data) != digest:
            raise _changed(digest, data)
        return data


def _name(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise BadInput(
            "digest of evidence",
            got=repr(digest),
            expected="'sha256:' and 64 lowercase hexadecimal digits",
            next_step="copy the digest from the ledger",
        )
    name = digits(digest)
    return f"evidence/sha256/{name[:2]}/{name[2:]}"


def _absent(digest: str) -> Unavailable:
    return Unavailable(
        f"evidence {digest}",
        got="nothing stored under this digest",
        expected="its bytes",
        next_step="check that this is the store the ledger was written with, and restore the file from a copy",
    )


def _changed(digest: str, data: bytes) -> Tampered:
    return Tampered(
        f"evidence {digest}",
        got=f"{len(data)} bytes with the digest {digest_of(data)}",
        expected="bytes with the digest they are stored under",
        next_step="keep the file for the investigation, and restore the right bytes from a copy",
    )
