"""The dossier: every document of a package that is made from its evidence, so that it can be made again and compared.

Whoever packs calls this, and so does whoever verifies: a document that was doctored is another one than this makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headgate.assessment import ASSESSMENT, assessment
from headgate.calibration import CALIBRATED, Known, known_page
from headgate.card import PICTURE
from headgate.challenge import Challenges
from headgate.challenge import page as challenges_page
from headgate.crosswalk import PAGE, TABLE, crosswalk
from headgate.crosswalk import page as crosswalk_page
from headgate.datasheet import DATASHEET, datasheet
from headgate.edition import NOW, Edition
from headgate.entry import Digest
from headgate.finding import DataReport
from headgate.forest import forest
from headgate.front_matter import front_matter
from headgate.judgement import Judged
from headgate.materials import MODEL_BILL, model_bill
from headgate.model_card import CARD, model_card
from headgate.package import VERIFY_PAGE, verify_page
from headgate.pedigree import PEDIGREE, pedigree
from headgate.plain_summary import SUMMARY, plain_summary
from headgate.plans import INCIDENTS, MONITORING, incident_plan, monitoring_plan
from headgate.policy import Policy
from headgate.records import Evaluated, Requested, Snapshot, Validated
from headgate.release import Release
from headgate.rollout import terms
from headgate.subgroups import subgroups
from headgate.tally import Tally
from headgate.weakness import search, section, sought

WEAKEST, CHALLENGED = "weakest-slices.json", "challenges.md"


def documents(
    policy: Policy, release: Release, read: Callable[[Digest], bytes], edition: Edition = NOW
) -> dict[str, bytes]:
    """The documents of a release whose gates were judged, by name; all but the crosswalk and the calibration.

    Args:
        release: as it stands before its packaging. read: the evidence behind a digest. edition: the package's.
    """
    evaluated = release.step(Evaluated)
    judged = Judged.model_validate_json(read(evaluated.judged))
    tally = Tally.from_bytes(read(evaluated.tally))
    report = DataReport.model_validate_json(read(release.step(Validated).report))
    weak = search(tally, sought(policy), least=policy.data.min_slice_rows, alpha=policy.confidence.alpha)
    head, card = front_matter(policy, release, judged), model_card(policy, release, judged)
    pages = {
        CARD: f"{head}{card}\n{subgroups(policy, tally)}{section(weak)}",
        PICTURE: forest(judged, title=f"{release.id}: {judged.verdict.name}"),
        DATASHEET: datasheet(policy, release, report),
        ASSESSMENT: assessment(policy, release),
        SUMMARY: plain_summary(policy, release, judged, tally),
        PEDIGREE: pedigree(policy.model.name, release, judged, terms(policy) if edition > 2 else ()),
        VERIFY_PAGE: verify_page(edition),
        **_challenged(evaluated, judged, read),
    }
    return {
        **{name: page.encode() for name, page in pages.items()},
        WEAKEST: weak.to_bytes(),
        MONITORING: monitoring_plan(policy, release).to_bytes(),
        INCIDENTS: incident_plan(policy, release).to_bytes(),
        MODEL_BILL: model_bill(policy, release, judged),
    }


def crosswalks(files: Mapping[str, Digest], edition: Edition = NOW) -> dict[str, bytes]:
    """The crosswalk as a page and as a table, from the digests of a package's other files."""
    found = crosswalk({name: digest for name, digest in files.items() if name not in (PAGE, TABLE)}, edition)
    return {PAGE: crosswalk_page(found).encode(), TABLE: found.to_bytes()}


def calibrated(release: Release, known: bytes) -> dict[str, bytes]:
    """The page about the gates' own calibration, from the numbers that the package holds.

    Raises:
        BadInput, Tampered: they are none, or speak of another policy or table than the release's.
    """
    found = Known.from_bytes(known)
    found.demand_about(release.step(Requested).policy, release.step(Snapshot).evaluation.digest)
    return {CALIBRATED: known_page(found).encode()}


def _challenged(evaluated: Evaluated, judged: Judged, read: Callable[[Digest], bytes]) -> dict[str, str]:
    if evaluated.challenges is None:
        return {}
    return {CHALLENGED: challenges_page(Challenges.from_bytes(read(evaluated.challenges)), alpha=judged.alpha)}
