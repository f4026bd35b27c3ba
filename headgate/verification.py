"""Verification: one release package, checked by itself: no store, no MLflow, no network.

It believes nothing that the package lets it recompute: the manifest's digests, the ledger's chain and signatures up to
the packaging, the rules of a release, what the ledger says the package must hold, both verdicts, the lineage, and the
signatures under the approvals. What it cannot see is what `headgate.audit` cannot see, and everything after the
packaging but the approvals; and it takes the pipeline's key and the signers from the package unless it is given them as
known elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict

from headgate import attestation, sshsig
from headgate.approval import Statement, namespace, same_person
from headgate.audit import recomputed, states
from headgate.canonical import canonical, digest_of, parse
from headgate.challenge import Challenges
from headgate.checkpoint import Checkpoint, read
from headgate.entry import Digest, moment
from headgate.errors import HeadgateError, Tampered
from headgate.judge import judge
from headgate.judgement import Judged
from headgate.ledger import Anomaly, Ledger, examined
from headgate.lineage import LINEAGE, packed
from headgate.package import CHECKPOINT, FORMAT, HISTORY, MANIFEST, strayed, unlike
from headgate.policy_file import parse as parse_policy
from headgate.records import Evaluated, Registered, Requested, record_of
from headgate.release import Release
from headgate.serving import ServingProfile
from headgate.signers import AllowedSigners
from headgate.signing import Verifier
from headgate.tally import Tally
from headgate.walk import Place, Walk

_ANSWER = re.compile(r"approvals/[^/]+\.(txt|sig)")


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["headgate/package/v1"]
    files: dict[str, Digest]


@dataclass
class Verified:
    """What a verification looked at, and everything that is wrong.

    Attributes:
        package: the digest of the manifest. release: the release that it is about; None if that cannot be told.
        checked: how many files, entries, verdicts and approvals were checked; nothing checked is not "all well".
        ledger, checkpoint, verifier: its prefix of the ledger, with its signed size and root and what verified them.
        anomalies: beside those of `headgate.audit`: ``bad_manifest``, ``missing_file``, ``changed_file``,
            ``extra_file``, ``bad_key``, ``no_release``, ``bad_checkpoint``, ``bad_attestation``, ``bad_lineage``,
            ``bad_approval``; slot -1
            where it is about a file.
    """

    package: Digest
    release: str | None = None
    checked: dict[str, int] = field(default_factory=dict)
    anomalies: list[Anomaly] = field(default_factory=list)
    ledger: Ledger | None = None
    checkpoint: Checkpoint | None = None
    verifier: Verifier | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong, and something was checked."""
        return not self.anomalies and bool(self.checked.get("verdicts"))


def verify(files: Mapping[str, bytes], *, key: bytes | None = None, signers: AllowedSigners | None = None) -> Verified:
    """Everything that is wrong with a package.

    Args:
        files: everything in it, by path. key: the pipeline's public key (PEM) as known from elsewhere; signers: all who
            could ever sign, likewise. None believes the package's own.
    """
    found = Verified(digest_of(files.get(MANIFEST, b"")))
    listed = _listed(files, found)
    if listed is None:
        return found
    found.anomalies += _files(listed, files)
    found.checked["files"] = len(listed)
    try:
        verifier = Verifier(files.get("pipeline.pub", b"") if key is None else key)
    except HeadgateError as error:
        found.anomalies.append(_of_file("bad_key", error.got, error.expected))
        return found
    _history(files, listed, verifier, found, signers)
    return found


def _listed(files: Mapping[str, bytes], found: Verified) -> dict[str, Digest] | None:
    try:
        told = _Manifest.model_validate(parse(files[MANIFEST]))
        return told.files
    except (KeyError, ValueError, HeadgateError) as error:
        got = f"{type(error).__name__}: {str(error)[:300]}" if MANIFEST in files else f"no {MANIFEST}"
        found.anomalies.append(_of_file("bad_manifest", got, f"canonical JSON of the format {FORMAT}"))
        return None


def _files(listed: Mapping[str, Digest], files: Mapping[str, bytes]) -> Iterator[Anomaly]:
    own = {n: data for n, data in files.items() if n in listed or not (n == MANIFEST or _ANSWER.fullmatch(n))}
    for name in unlike(listed, own):
        if name not in files:
            yield _of_file("missing_file", f"no {name}", listed[name])
        elif name not in listed:
            yield _of_file("extra_file", name, "only what the manifest names, and answers under approvals/")
        else:
            yield _of_file("changed_file", f"{name} with {digest_of(files[name])}", listed[name])


def _history(
    files: Mapping[str, bytes],
    listed: Mapping[str, Digest],
    verifier: Verifier,
    found: Verified,
    signers: AllowedSigners | None,
) -> None:
    slots = dict(enumerate(line for line in files.get(HISTORY, b"").split(b"\n") if line))
    try:
        model = parse_policy(files["policy.toml"], "of the package").model.name
    except (KeyError, HeadgateError) as error:
        found.anomalies.append(_of_file("no_release", f"policy.toml: {error}", "the policy of a release"))
        return
    ledger, anomalies = examined(slots, model, verifier)
    found.anomalies += anomalies
    found.checked["entries"] = len(slots)
    if found.anomalies:
        return
    _seen(files, ledger, verifier, found)
    walk = Walk(model, {digest_of(data): data for data in files.values()}, signers)
    release = _release(walk, ledger, verifier, listed, found)
    if release is not None:
        found.release = release.id
        _answers(files, release, found, signers)


def _seen(files: Mapping[str, bytes], ledger: Ledger, verifier: Verifier, found: Verified) -> None:
    expected = f"the signed checkpoint of the {ledger.size} entries in {HISTORY}"
    try:
        told = read(files.get(CHECKPOINT, b""), ledger.model, verifier)
    except HeadgateError as error:
        found.anomalies.append(_of_file("bad_checkpoint", f"{CHECKPOINT}: {error.got}", expected))
        return
    if (told.size, told.root) != (ledger.size, ledger.root()):
        found.anomalies.append(_of_file("bad_checkpoint", f"{told.root} over {told.size} entries", expected))
    found.ledger, found.checkpoint, found.verifier = ledger, told, verifier


def _release(
    walk: Walk, ledger: Ledger, verifier: Verifier, listed: Mapping[str, Digest], found: Verified
) -> Release | None:
    """The release that the package holds; its entries are recomputed, those of others only checked for their rules."""
    places = list(states(walk, ledger))
    broken = [place for place in places if isinstance(place, Anomaly)]
    found.anomalies += broken
    walked = [place for place in places if isinstance(place, Place)]
    release = _packed(walked, listed)
    if broken or release is None:
        found.anomalies.append(_of_file("no_release", "no release that was judged so", "verdicts.json in the ledger"))
        return None
    found.anomalies += (_of_file("other_package", *each) for each in strayed(release, listed))
    for place in walked:
        if place.name == release.id:
            entry = place.entry
            found.anomalies += recomputed(walk, place, record_of(entry.kind, dict(entry.body)))
    found.checked["verdicts"] = walk.checked["verdicts"]
    found.anomalies += _attested(walk, listed, release, verifier)
    found.checked["attestations"] = len(attestation.FILES)
    found.anomalies += _lineage(walk, ledger, listed, release)
    return release


def _attested(walk: Walk, listed: Mapping[str, Digest], release: Release, verifier: Verifier) -> Iterator[Anomaly]:
    judged = Judged.model_validate_json(walk.get(release.step(Evaluated).judged))
    for name, expected in attestation.predicates(release, judged).items():
        try:
            told = attestation.read(walk.get(listed.get(name, "")), verifier)
        except HeadgateError as error:
            yield _of_file("bad_attestation", f"{name}: {error.got}", error.expected)
            continue
        subjects = {each.name: f"sha256:{each.digest.get('sha256')}" for each in told.subject}
        if (told.predicate_type, told.predicate) != (attestation.FILES[name], expected):
            yield _of_file("bad_attestation", f"{name}: another predicate", "what the ledger and the verdicts say")
        if subjects != release.step(Registered).files:
            yield _of_file("bad_attestation", f"{name}: about other files", "the registered model's files")


def _lineage(walk: Walk, ledger: Ledger, listed: Mapping[str, Digest], release: Release) -> Iterator[Anomaly]:
    expected = "the events that the ledger's entries tell"
    try:
        told, again = walk.evidence.get(listed.get(LINEAGE, "")), packed(ledger, walk.get, release.id)
    except (HeadgateError, ValueError) as error:
        yield _of_file("bad_lineage", f"{LINEAGE}: {str(error)[:300]}", expected)
        return
    if told is None:
        yield _of_file("bad_lineage", f"no {LINEAGE}", expected)
    elif told != again:
        lines = zip(told.split(b"\n"), again.split(b"\n"), strict=False)
        line = next(number for number, (said, right) in enumerate(lines, 1) if said != right)
        yield _of_file("bad_lineage", f"{LINEAGE}: line {line} says something else", expected)


def _packed(walked: list[Place], listed: Mapping[str, Digest]) -> Release | None:
    last = walked[-1].state.releases.values() if walked else ()
    judged = [r for r in last if (found := r.find(Evaluated)) and found.judged == listed.get("verdicts.json")]
    return judged[-1] if judged else None


def _answers(files: Mapping[str, bytes], release: Release, found: Verified, signers: AllowedSigners | None) -> None:
    names = sorted({name.rpartition(".")[0] for name in files if _ANSWER.fullmatch(name)})
    known = signers or AllowedSigners.parse(files["allowed_signers"].decode())
    clicks = parse_policy(files["policy.toml"], "of the package").approval.ui_click
    for name in names:
        text, signature = files.get(f"{name}.txt", b""), files.get(f"{name}.sig")
        found.anomalies += (
            _of_file("bad_approval", f"{name}: {why}", "a signed approval of this package")
            for why in _against(text, signature, release, found.package, known, clicks)
        )
    # What nobody signed is not counted: anybody could have written it.
    found.checked["approvals"] = sum(f"{name}.sig" in files for name in names)


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
    if same_person(spoken.person, asked.requester, signers):
        yield f"{spoken.person} asked for this release and cannot answer for it"
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


@dataclass(frozen=True)
class Replay:
    """Verdicts computed again, and whether they are the stored ones to the bit."""

    judged: Judged
    stored: Digest
    again: Digest

    @property
    def same(self) -> bool:
        """Whether every byte is the same."""
        return self.stored == self.again


def replay(files: Mapping[str, bytes]) -> Replay:
    """Judge a package's tally under its policy again.

    Raises:
        Tampered: a file that this needs is missing or is none.
    """
    policy = parse_policy(_needed(files, "policy.toml"), "of the package")
    tally, stored = Tally.from_bytes(_needed(files, "tally.json")), _needed(files, "verdicts.json")
    serving, challenges = files.get("serving.json"), files.get("challenges.json")
    judged = judge(
        policy,
        tally,
        None if serving is None else ServingProfile.from_bytes(serving),
        has_champion=tally.has_champion,
        challenges=None if challenges is None else Challenges.from_bytes(challenges),
    )
    return Replay(judged, digest_of(stored), digest_of(canonical(judged.model_dump(mode="json"))))


def _needed(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise Tampered("release package", got=f"no {name}", expected=name, next_step="get the whole package again")
    return files[name]


def _of_file(name: str, got: str, expected: str) -> Anomaly:
    return Anomaly(name, -1, got, expected)
