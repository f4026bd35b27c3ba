"""Endorsement: what the pipeline attests in words of its own: verdicts with arithmetic, answers, and the promotion.

Each predicate is a facet of the lineage, so that one schema (`lineage-facets.json`, in every package) describes both.
The verdicts are pinned with the package; answers and promotion come after it, and lie in its folder `approvals`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from headgate.attestation import attest
from headgate.entry import Digest
from headgate.facets import approvals, promotion, verdicts
from headgate.judgement import Judged
from headgate.records import ApprovalRequested, Evaluated, Packaged, Registered
from headgate.release import Release
from headgate.signing import Signer

VERDICTS = "verdicts.sigstore.json"
ANSWERS, PROMOTION = "approvals/approvals.sigstore.json", "approvals/promotion.sigstore.json"

TYPES: Mapping[str, str] = {
    VERDICTS: "https://headgate.example/verdicts/v1",
    ANSWERS: "https://headgate.example/approvals/v1",
    PROMOTION: "https://headgate.example/promotion/v1",
}
"""The type of each file's predicate."""

Json = dict[str, Any]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    statement: Digest


class Happening(BaseModel):
    """What a predicate about the time after the packaging must say: the package, and the answers or the version."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    package: Digest
    answers: tuple[_Answer, ...] = ()
    new: int | None = None

    def against(self, package: Digest, version: int, here: Collection[Digest]) -> Iterator[str]:
        """What it says of another package or version, and answers that are not `here`."""
        if self.package != package:
            yield f"about the package {self.package}"
        if self.new not in (None, version):
            yield f"about version {self.new}"
        yield from (f"the answer {a.statement}, which is not here" for a in self.answers if a.statement not in here)


def judged_so(release: Release, judged: Judged) -> Json:
    """The predicate of the verdicts."""
    (told,) = verdicts(judged, release.step(Evaluated), release.waivers).values()
    return dict(told)


def happened(release: Release) -> dict[str, Json]:
    """The predicates of what came after the packaging, by file: the answers so far, and the promotion if any."""
    asked = release.find(ApprovalRequested)
    if asked is None:
        return {}
    package = release.step(Packaged).package
    (answers,) = approvals(release.answers, package=package, quorum=dict(asked.roles), expires=asked.expires).values()
    if release.started is None or release.promoted is None:
        return {ANSWERS: answers}
    (moved,) = promotion(release.started, release.promoted.started, "promoted").values()
    return {ANSWERS: answers, PROMOTION: moved}


def endorsements(signer: Signer, release: Release, told: Mapping[str, Json]) -> dict[str, bytes]:
    """Signed bundles about the registered model's files, by name.

    Args:
        told: the predicate of each file.
    """
    files = release.step(Registered).files
    return {name: attest(signer, files, TYPES[name], predicate) for name, predicate in told.items()}
