"""Verification: one release package, checked by itself: no store, no MLflow, no network.

It believes nothing that the package lets it recompute: the manifest's digests, the ledger's chain and signatures up to
the packaging, the rules of a release, what the ledger says the package must hold, both verdicts, the lineage, every
document, and the signatures under the approvals. What it cannot see is what `headgate.audit` cannot see, and everything
after the packaging but the approvals; and it takes the pipeline's key and the signers from the package unless it is
given them as known elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from headgate import attestation
from headgate.answers import ANSWER, answers
from headgate.audit import recomputed, states
from headgate.calibration import NUMBERS
from headgate.canonical import canonical, digest_of, parse
from headgate.checkpoint import Checkpoint, read
from headgate.dossier import WEAKEST, calibrated, crosswalks, documents
from headgate.edition import FORMATS, NOW, Edition, Format
from headgate.endorsement import ANSWERS, PROMOTION, TYPES, VERDICTS, Happening, judged_so
from headgate.entry import Digest
from headgate.errors import HeadgateError
from headgate.facets import PRODUCER, SCHEMA
from headgate.judgement import Judged
from headgate.ledger import Anomaly, Ledger, examined
from headgate.likeness import alike
from headgate.lineage import FACETS, LINEAGE, packed
from headgate.model_signature import SIGNATURE, signed_files
from headgate.package import CHECKPOINT, HISTORY, MANIFEST, strayed, unlike
from headgate.policy_file import parse as parse_policy
from headgate.records import Evaluated, Registered, record_of
from headgate.release import Release
from headgate.signers import AllowedSigners
from headgate.signing import Verifier
from headgate.walk import Place, Walk

_REGISTERED = "the registered model's files"
_LATER = (ANSWERS, PROMOTION)


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Format
    files: dict[str, Digest]


@dataclass
class Verified:
    """What a verification looked at, and everything that is wrong.

    Attributes:
        package: the digest of the manifest. edition: of its format. release: the release that it is about. Both are
            None if that cannot be told.
        checked: how many files, entries, verdicts and approvals were checked; nothing checked is not "all well".
        ledger, checkpoint, verifier: its prefix of the ledger, with its signed size and root and what verified them.
        anomalies: beside those of `headgate.audit`: ``bad_manifest``, ``missing_file``, ``changed_file``,
            ``extra_file``, ``bad_key``, ``no_release``, ``bad_checkpoint``, ``bad_attestation``, ``bad_lineage``,
            ``bad_document``, ``bad_approval``; slot -1 where it is about a file.
    """

    package: Digest
    edition: Edition | None = None
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
        found.edition = FORMATS[told.format]
        return told.files
    except (KeyError, ValueError, HeadgateError) as error:
        got = f"{type(error).__name__}: {str(error)[:300]}" if MANIFEST in files else f"no {MANIFEST}"
        found.anomalies.append(_of_file("bad_manifest", got, f"canonical JSON of the format {' or '.join(FORMATS)}"))
        return None


def _files(listed: Mapping[str, Digest], files: Mapping[str, bytes]) -> Iterator[Anomaly]:
    own = {n: data for n, data in files.items() if n in listed or not (n in (MANIFEST, *_LATER) or ANSWER.fullmatch(n))}
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
        known = signers or AllowedSigners.parse(files["allowed_signers"].decode())
        wrong, found.checked["approvals"] = answers(files, release, found.package, known)
        found.anomalies += (_of_file("bad_approval", why, "a signed approval of this package") for why in wrong)
        found.anomalies += _later(files, release, verifier, found)


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
    found.anomalies += _attested(walk, listed, release, verifier, found.edition or NOW)
    found.checked["attestations"] = len(attestation.FILES) + 2
    found.anomalies += _lineage(walk, ledger, listed, release)
    found.anomalies += _documents(walk, listed, release, found)
    return release


def _attested(
    walk: Walk, listed: Mapping[str, Digest], release: Release, verifier: Verifier, edition: Edition
) -> Iterator[Anomaly]:
    judged = Judged.model_validate_json(walk.get(release.step(Evaluated).judged))
    gates = listed.get(attestation.GATES, "")
    expected: dict[str, Mapping[str, object]] = {**attestation.predicates(release, judged, gates, edition)}
    for name, predicate in {**expected, VERDICTS: judged_so(release, judged)}.items():
        told = _told(name, walk.evidence.get(listed.get(name, ""), b""), release, verifier)
        if isinstance(told, Anomaly):
            yield told
        elif told.predicate != predicate:
            yield _of_file("bad_attestation", f"{name}: another predicate", "what the ledger and the verdicts say")
    yield from _signed(walk, listed, release, verifier)


def _told(name: str, data: bytes, release: Release, verifier: Verifier) -> attestation.Statement | Anomaly:
    """The statement of an attestation about the registered files, or what is wrong with it."""
    try:
        told = attestation.read(data, verifier)
    except HeadgateError as error:
        return _of_file("bad_attestation", f"{name}: {error.got}", error.expected)
    if told.predicate_type != {**attestation.FILES, **TYPES}[name]:
        return _of_file("bad_attestation", f"{name}: a {told.predicate_type}", "its own type of predicate")
    if {each.name: f"sha256:{each.digest.get('sha256')}" for each in told.subject} != release.step(Registered).files:
        return _of_file("bad_attestation", f"{name}: about other files", _REGISTERED)
    return told


def _later(files: Mapping[str, bytes], release: Release, verifier: Verifier, found: Verified) -> Iterator[Anomaly]:
    """What the pipeline attests about the time after the packaging: about this package, and answers that are here."""
    here = {digest_of(data) for name, data in files.items() if ANSWER.fullmatch(name)}
    for name in (name for name in _LATER if name in files):
        told = _told(name, files[name], release, verifier)
        if isinstance(told, Anomaly):
            yield told
            continue
        found.checked["attestations"] += 1
        try:
            said = Happening.model_validate_json(canonical(told.predicate))
        except ValueError as error:
            yield _of_file("bad_attestation", f"{name}: {str(error)[:300]}", "its predicate's shape")
            continue
        wrong = said.against(found.package, release.step(Registered).version, here)
        yield from (_of_file("bad_attestation", f"{name}: {each}", "what is in this package") for each in wrong)


def _signed(walk: Walk, listed: Mapping[str, Digest], release: Release, verifier: Verifier) -> Iterator[Anomaly]:
    try:
        files = signed_files(walk.get(listed.get(SIGNATURE, "")), verifier)
    except HeadgateError as error:
        yield _of_file("bad_attestation", f"{SIGNATURE}: {error.got}", error.expected)
        return
    if files != release.step(Registered).files:
        yield _of_file("bad_attestation", f"{SIGNATURE}: about other files", _REGISTERED)


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


def _documents(walk: Walk, listed: Mapping[str, Digest], release: Release, found: Verified) -> Iterator[Anomaly]:
    """The documents that are not what the evidence in the package makes again."""
    edition = found.edition or NOW
    try:
        again = documents(walk.policy(release), release, walk.get, edition) | crosswalks(listed, edition)
        again |= calibrated(release, walk.get(listed.get(NUMBERS, ""))) if edition > 1 else {}
    except Exception as error:  # whatever forged evidence causes is a finding
        yield _of_file("bad_document", f"{type(error).__name__}: {error}", "documents that can be made again")
        return
    found.checked["documents"] = len(again)
    for name, data in again.items():
        told = walk.evidence.get(listed.get(name, ""), b"")
        if told != data and not (name == WEAKEST and alike(told, data)):
            yield _of_file("bad_document", f"{name} with {listed.get(name)}", f"{digest_of(data)}, made again")
    if edition > 1 and listed.get(FACETS) != SCHEMA:
        yield _of_file("bad_document", f"{FACETS} with {listed.get(FACETS)}", f"{SCHEMA}, the schema of {PRODUCER}")


def _packed(walked: list[Place], listed: Mapping[str, Digest]) -> Release | None:
    last = walked[-1].state.releases.values() if walked else ()
    judged = [r for r in last if (found := r.find(Evaluated)) and found.judged == listed.get("verdicts.json")]
    return judged[-1] if judged else None


def _of_file(name: str, got: str, expected: str) -> Anomaly:
    return Anomaly(name, -1, got, expected)
