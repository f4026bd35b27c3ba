"""Package: put everything that a reviewer or auditor needs into one folder, and pin it."""

from __future__ import annotations

import json

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.attestation import attestations
from headgate.canonical import digest_of
from headgate.card import PICTURE, model_card
from headgate.challenge import Challenges, page
from headgate.forest import forest
from headgate.judgement import Judged
from headgate.markdown import table
from headgate.package import HISTORY, MANIFEST, VERIFY, manifest, pinned
from headgate.policy import Policy
from headgate.records import Evaluated, Packaged, Registered, Requested, Snapshot, Trained
from headgate.release import Release
from headgate.tally import Tally
from headgate.weakness import Weaknesses, search, section, sought
from tasks.keep import pages as calibrations
from tasks.pack import pack
from tasks.read import SIGNERS, read_file
from tasks.record import Case, Desk


@task(name="package", cache_policy=NO_CACHE)
def package(case: Case) -> None:
    """Write the package as evidence and as a folder, and record the digest of its manifest."""
    desk = Desk(case.home, case.model)
    release = desk.release(case.release)
    files = _files(desk, case, release)
    listed = manifest(files)
    for data in files.values():
        desk.evidence.put(data)
    digest = desk.evidence.put(listed)
    folder = desk.home.package(release.id)
    pack(folder, {**files, MANIFEST: listed})
    desk.write(case.release, Packaged(package=digest))
    rows = [(name, digest_of(data)) for name, data in sorted(files.items())]
    create_markdown_artifact(
        key=case.artifact("package"), markdown=f"# Package {digest}\n\n{table(('file', 'digest'), rows)}"
    )
    create_link_artifact(key=case.artifact("package-link"), link=(folder / "card.md").as_uri(), link_text="The package")


def _files(desk: Desk, case: Case, release: Release) -> dict[str, bytes]:
    judged = Judged.model_validate_json(desk.evidence.get(release.step(Evaluated).judged))
    made = _made(desk, case, release, desk.policy(release), judged)
    return {**{name: desk.evidence.get(digest) for name, digest in pinned(release).items()}, **made}


def _made(desk: Desk, case: Case, release: Release, policy: Policy, judged: Judged) -> dict[str, bytes]:
    challenges = release.step(Evaluated).challenges
    asked = {} if challenges is None else {"challenges.md": _challenges(desk.evidence.get(challenges), judged)}
    weak = _weakest(desk, release, policy)
    return {
        **asked,
        "card.md": (model_card(policy, release, judged) + section(weak)).encode(),
        "weakest-slices.json": weak.to_bytes(),
        PICTURE: forest(judged, title=f"{release.id}: {judged.verdict.name}").encode(),
        "lineage.json": _lineage(release),
        SIGNERS: read_file(case.folder / SIGNERS),
        HISTORY: b"".join(line + b"\n" for line in desk.ledger().stored),
        **attestations(desk.signer, release, judged),
        "pipeline.pub": desk.signer.public_pem,
        "VERIFY.md": VERIFY.encode(),
        **calibrations(desk, release.step(Requested).policy, release.step(Snapshot).evaluation.digest),
    }


def _weakest(desk: Desk, release: Release, policy: Policy) -> Weaknesses:
    tally = Tally.from_bytes(desk.evidence.get(release.step(Evaluated).tally))
    return search(tally, sought(policy), least=policy.data.min_slice_rows, alpha=policy.confidence.alpha)


def _challenges(data: bytes, judged: Judged) -> bytes:
    return page(Challenges.from_bytes(data), alpha=judged.alpha).encode()


def _lineage(release: Release) -> bytes:
    steps = {
        kind.__name__.lower(): release.step(kind).model_dump(mode="json") for kind in (Snapshot, Trained, Registered)
    }
    return json.dumps(steps, indent=2, sort_keys=True).encode()
