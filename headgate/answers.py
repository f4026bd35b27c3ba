"""Answers: what people signed about a package, checked without the ledger that came after it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from headgate import sshsig
from headgate.approval import Statement, moment, namespace, parts_of
from headgate.entry import Digest
from headgate.errors import HeadgateError
from headgate.policy_file import parse as parse_policy
from headgate.records import Registered, Requested
from headgate.release import Release
from headgate.signers import AllowedSigners

ANSWER = re.compile(r"approvals/[^/]+\.(txt|sig)")
"""The files of an answer: the text that was signed, and the signature."""


def answers(
    files: Mapping[str, bytes], release: Release, package: Digest, signers: AllowedSigners
) -> tuple[list[str], int]:
    """What is wrong with the answers of a package, and how many are signed.

    Args:
        files: the package's. package: the digest of its manifest. signers: who may sign for what.
    """
    names = sorted({name.rpartition(".")[0] for name in files if ANSWER.fullmatch(name)})
    clicks = parse_policy(files["policy.toml"], "of the package").approval.ui_click
    wrong = [
        f"{name}: {why}"
        for name in names
        for why in _against(files.get(f"{name}.txt", b""), files.get(f"{name}.sig"), release, package, signers, clicks)
    ]
    # What nobody signed is not counted: anybody could have written it.
    return wrong, sum(f"{name}.sig" in files for name in names)


def _against(
    text: bytes,
    signature: bytes | None,
    release: Release,
    package: Digest,
    signers: AllowedSigners,
    clicks: tuple[str, ...],
) -> Iterator[str]:
    try:
        spoken = Statement.read(text)
        key = None if signature is None else sshsig.verify(text, signature, namespace(spoken.role))
        if signature is not None and sshsig.rearm(signature).encode() != signature:
            yield "the signature is armored otherwise than OpenSSH writes it"
    except HeadgateError as error:
        yield str(error)
        return
    asked = release.step(Requested)
    # A package does not say when it was answered: the key must have been valid at the packaging or at the expiry.
    times = (moment(release.opened), moment(spoken.expires))
    if key is None:
        yield from _unsigned(spoken, clicks)
    elif not any(spoken.person in signers.who(key, namespace(spoken.role), time) for time in times):
        yield f"allowed_signers does not let this key sign as {spoken.role} for {spoken.person}"
    for part in parts_of(spoken.person, asked, signers):
        yield f"{spoken.person} {part} and cannot answer for it"
    for what, got, expected in (
        ("release", spoken.release, release.id),
        ("version", spoken.version, release.step(Registered).version),
        ("package", spoken.package, package),
        ("policy", spoken.policy, asked.policy),
    ):
        if got != expected:
            yield f"its {what} is {got}, this package's is {expected}"


def _unsigned(spoken: Statement, clicks: tuple[str, ...]) -> Iterator[str]:
    if spoken.role not in clicks or spoken.decision != "approve":
        yield f"nobody signed it, and the policy lets nobody {spoken.decision} as {spoken.role} by a click"
