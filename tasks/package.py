"""Package: put everything that a reviewer or auditor needs into one folder, and pin it."""

from __future__ import annotations

from importlib.resources import files

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.attestation import attestations
from headgate.canonical import digest_of
from headgate.card import PICTURE, model_card
from headgate.challenge import Challenges, page
from headgate.checkpoint import sign
from headgate.forest import forest
from headgate.judgement import Judged
from headgate.lineage import FACETS, LINEAGE, packed
from headgate.markdown import table
from headgate.package import CHECKPOINT, HISTORY, MANIFEST, VERIFY, manifest, pinned
from headgate.pedigree import PEDIGREE, image, pedigree
from headgate.policy import Policy
from headgate.records import Evaluated, Packaged, Requested, Snapshot
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
    made = _files(desk, case, release)
    listed = manifest(made)
    for data in made.values():
        desk.evidence.put(data)
    digest = desk.evidence.put(listed)
    folder = desk.home.package(release.id)
    pack(folder, {**made, MANIFEST: listed})
    desk.write(case.release, Packaged(package=digest))
    rows = [(name, digest_of(data)) for name, data in sorted(made.items())]
    listing = f"# Package {digest}\n\n{image(made[PEDIGREE].decode())}\n\n{table(('file', 'digest'), rows)}"
    create_markdown_artifact(key=case.artifact("package"), markdown=listing)
    create_link_artifact(key=case.artifact("package-link"), link=(folder / "card.md").as_uri(), link_text="The package")


def _files(desk: Desk, case: Case, release: Release) -> dict[str, bytes]:
    judged = Judged.model_validate_json(desk.evidence.get(release.step(Evaluated).judged))
    made = _made(desk, case, release, desk.policy(release), judged)
    return {**{name: desk.evidence.get(digest) for name, digest in pinned(release).items()}, **made}


def _made(desk: Desk, case: Case, release: Release, policy: Policy, judged: Judged) -> dict[str, bytes]:
    challenges = release.step(Evaluated).challenges
    asked = {} if challenges is None else {"challenges.md": _challenges(desk.evidence.get(challenges), judged)}
    weak, ledger = _weakest(desk, release, policy), desk.ledger()
    return {
        **asked,
        "card.md": (model_card(policy, release, judged) + section(weak)).encode(),
        "weakest-slices.json": weak.to_bytes(),
        PICTURE: forest(judged, title=f"{release.id}: {judged.verdict.name}").encode(),
        LINEAGE: packed(ledger, desk.evidence.get, release.id),
        FACETS: (files("headgate") / "schemas" / FACETS).read_bytes(),
        PEDIGREE: pedigree(desk.model, release, judged).encode(),
        SIGNERS: read_file(case.folder / SIGNERS),
        HISTORY: b"".join(line + b"\n" for line in ledger.stored),
        CHECKPOINT: sign(ledger, desk.signer).note,
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
