"""Agent: signatures by keys that lie in ssh-agent or on a hardware token, made by OpenSSH's own programs."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from headgate.approval import moment
from headgate.errors import BadInput
from headgate.signers import AllowedSigners
from headgate.sshkey import PublicKey
from tasks.record import now

_PATIENCE = 300.0  # a token waits to be touched, a passphrase to be typed


def held(namespace: str, signers: AllowedSigners) -> PublicKey:
    """The first key of the agent that somebody may sign with in this namespace now.

    Raises:
        BadInput: no agent answers, or it holds no such key.
    """
    keys = [PublicKey.parse(line) for line in _listed() if not line.split()[0].endswith("-cert-v01@openssh.com")]
    for key in keys:
        if signers.who(key, namespace, moment(now())):
            return key
    raise _no_key(f"{len(keys)} keys in ssh-agent, none of which signs in {namespace}")


def sign(key: PublicKey, message: bytes, namespace: str) -> bytes:
    """An armored signature of these bytes (SSHSIG) by a private key that this process never sees.

    Raises:
        BadInput: the agent does not sign with this key.
    """
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder, "key.pub")
        named.write_text(f"{key.text}\n")
        made = _run("ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(named), given=message)
    if made.returncode != 0:
        raise _no_key(made.stderr.decode(errors="replace").strip())
    return made.stdout


def _listed() -> list[str]:
    found = _run("ssh-add", "-L")
    if found.returncode != 0:
        raise _no_key((found.stdout + found.stderr).decode(errors="replace").strip())
    return found.stdout.decode("ascii", errors="replace").splitlines()


def _run(*command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, input=given, capture_output=True, timeout=_PATIENCE, check=False)  # noqa: S603
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise _no_key(str(error)) from error


def _no_key(got: str) -> BadInput:
    return BadInput(
        "ssh-agent",
        got=got,
        expected="a key that allowed_signers lists for this role",
        next_step="`ssh-add` it, or name the key's file with --key",
    )
