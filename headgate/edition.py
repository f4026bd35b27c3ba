"""Editions: the formats that packages were written in. A package of an old one is verified for ever, by what held then.

1. The first.
2. The summary attestation names policy and input by URIs and is dated when the gates were judged; a gate that is not
   decided counts as failed in the test result, where a warned test is one that passed. The page about the gates' own
   calibration is made from numbers in the package, and so is compared, as the schema of the facets is. Clauses of the
   crosswalk were compared with the texts that they name.
3. The picture of the lineage has the stages of the rollout: each alias, and whom it serves.
"""

from __future__ import annotations

from typing import Literal, get_args

Edition = Literal[1, 2, 3]
Format = Literal["headgate/package/v1", "headgate/package/v2", "headgate/package/v3"]

NOW: Edition = 3
"""The edition that is written."""

FORMATS: dict[Format, Edition] = dict(zip(get_args(Format), get_args(Edition), strict=True))
"""The edition of each format's name."""

FORMAT: Format = get_args(Format)[-1]
"""The name of the format that is written."""
