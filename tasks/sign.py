"""Sign: a person's key, wherever it lies, and whose it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headgate import sshsig
from headgate.approval import moment
from headgate.errors import BadInput
from headgate.signers import AllowedSigners
from headgate.sshkey import PublicKey
from tasks import agent
from tasks.record import now


@dataclass(frozen=True)
class Pen:
    """A key to sign with in a namespace.

    Attributes:
        person: whose it is. sign: makes an armored signature of bytes.
    """

    person: str
    sign: Callable[[bytes], bytes]


def pen(key: Path | None, namespace: str, signers: AllowedSigners) -> Pen:
    """The pen of a key file; or, without one, or with one of a public key, of ssh-agent.

    Args:
        key: a private SSH key, OpenSSH or PEM; or a public one, whose private half the agent or a token has.

    Raises:
        BadInput: there is no such key, or it does not sign for exactly one person.
    """
    data = None if key is None else _read(key)
    if data is not None and _is_private(data):
        return _by_file(data, namespace, signers)
    public = agent.held(namespace, signers) if data is None else PublicKey.parse(data.decode("ascii", errors="replace"))
    return Pen(_owner(public, namespace, signers), lambda message: agent.sign(public, message, namespace))


def _by_file(data: bytes, namespace: str, signers: AllowedSigners) -> Pen:
    person = _owner(sshsig.public_key(data), namespace, signers)
    return Pen(person, lambda message: sshsig.sign(data, message, namespace).encode())


def _is_private(data: bytes) -> bool:
    # A file that is neither is told what is wrong with it as a private key.
    return not data.lstrip().startswith((b"ssh-", b"ecdsa-", b"sk-"))


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise BadInput(f"key {path}", got="no such file", expected="an SSH key", next_step="make one with `ssh-keygen`")
    return path.read_bytes()


def _owner(key: PublicKey, namespace: str, signers: AllowedSigners) -> str:
    named = signers.who(key, namespace, moment(now()))
    if len(named) != 1:
        raise BadInput(
            f"key {key.fingerprint}",
            got=f"a key that signs in {namespace} for {', '.join(named) or 'nobody'}",
            expected="one person",
            next_step=f'add `PERSON namespaces="{namespace}" {key.text}` to allowed_signers',
        )
    return named[0]
