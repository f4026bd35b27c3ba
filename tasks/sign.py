"""Sign: a person's private key, and whose it is."""

from __future__ import annotations

from pathlib import Path

from headgate.approval import moment
from headgate.errors import BadInput
from headgate.signers import AllowedSigners
from headgate.sshkey import PublicKey
from tasks.record import now


def private_key(path: Path) -> bytes:
    """The bytes of a private SSH key, OpenSSH or PEM.

    Raises:
        BadInput: there is no such file.
    """
    if not path.is_file():
        raise BadInput(
            f"key {path}", got="no such file", expected="a private SSH key", next_step="make one with `ssh-keygen`"
        )
    return path.read_bytes()


def owner(key: PublicKey, namespace: str, signers: AllowedSigners) -> str:
    """The one person who may sign with this key in this namespace now.

    Raises:
        BadInput: it is nobody, or more than one.
    """
    named = signers.who(key, namespace, moment(now()))
    if len(named) != 1:
        raise BadInput(
            f"key {key.fingerprint}",
            got=f"a key that signs in {namespace} for {', '.join(named) or 'nobody'}",
            expected="one person",
            next_step=f'add `PERSON namespaces="{namespace}" {key.text}` to allowed_signers',
        )
    return named[0]
