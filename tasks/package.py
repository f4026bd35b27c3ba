"""Package: put everything that a reviewer or auditor needs into one folder, and pin it."""

from __future__ import annotations

from importlib.resources import files

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.attestation import attestations
from headgate.calibration import NUMBERS
from headgate.canonical import digest_of
from headgate.checkpoint import sign
from headgate.dossier import calibrated, crosswalks, documents
from headgate.endorsement import VERDICTS, endorsements, judged_so
from headgate.judgement import Judged
from headgate.ledger import Ledger
from headgate.lineage import FACETS, LINEAGE, packed
from headgate.markdown import table
from headgate.package import CHECKPOINT, HISTORY, MANIFEST, manifest, pinned
from headgate.pedigree import PEDIGREE, image
from headgate.records import Evaluated, Packaged, Requested, Snapshot
from headgate.release import Release
from tasks.keep import known
from tasks.pack import pack
from tasks.read import SIGNERS, read_file
from tasks.record import Case, Desk


@task(name="package", cache_policy=NO_CACHE)
def package(case: Case) -> None:
    """Write the package as evidence and as a folder, and record the digest of its manifest."""
    desk = Desk(case.home, case.model)
    ledger = desk.ledger()
    release = desk.state(ledger).release(case.release)
    made = _files(desk, case, release, ledger)
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


def _files(desk: Desk, case: Case, release: Release, ledger: Ledger) -> dict[str, bytes]:
    judged = Judged.model_validate_json(desk.evidence.get(release.step(Evaluated).judged))
    tried = known(desk, release.step(Requested).policy, release.step(Snapshot).evaluation.digest)
    made = {
        **{name: desk.evidence.get(digest) for name, digest in pinned(release).items()},
        **documents(desk.policy(release), release, desk.evidence.get),
        LINEAGE: packed(ledger, desk.evidence.get, release.id),
        FACETS: (files("headgate") / "schemas" / FACETS).read_bytes(),
        SIGNERS: read_file(case.folder / SIGNERS),
        HISTORY: b"".join(line + b"\n" for line in ledger.stored),
        CHECKPOINT: sign(ledger, desk.signer).note,
        **attestations(desk.signer, release, judged),
        **endorsements(desk.signer, release, {VERDICTS: judged_so(release, judged)}),
        "pipeline.pub": desk.signer.public_pem,
        NUMBERS: tried.to_bytes(),
        **calibrated(release, tried.to_bytes()),
    }
    return {**made, **crosswalks({name: digest_of(data) for name, data in made.items()})}
