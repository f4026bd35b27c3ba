"""Replay: a package's gates judged again, from its tally under its policy, and compared.

No model is opened and no row is read: a tally holds all that the gates need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headgate.canonical import canonical, digest_of
from headgate.challenge import Challenges
from headgate.entry import Digest
from headgate.errors import Tampered
from headgate.judge import judge
from headgate.judgement import Judged
from headgate.likeness import alike
from headgate.policy_file import parse as parse_policy
from headgate.serving import ServingProfile
from headgate.tally import Tally


@dataclass(frozen=True)
class Replay:
    """Verdicts computed again, the digests of what was stored and of what they are now, and whether both say the same.

    With another C library the last bits of a number may be others: see `headgate.likeness`.
    """

    judged: Judged
    stored: Digest
    again: Digest
    same: bool

    @property
    def exact(self) -> bool:
        """Whether every bit is the same."""
        return self.stored == self.again


def replay(files: Mapping[str, bytes]) -> Replay:
    """Judge a package's tally under its policy again.

    Raises:
        Tampered: a file that this needs is missing, or is none.
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
    again = canonical(judged.model_dump(mode="json"))
    return Replay(judged, digest_of(stored), digest_of(again), alike(stored, again))


def _needed(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise Tampered("release package", got=f"no {name}", expected=name, next_step="get the whole package again")
    return files[name]
