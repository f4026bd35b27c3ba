"""The release package: what it holds, and the manifest that pins it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from headgate.canonical import canonical, digest_of
from headgate.edition import FORMAT, NOW, Edition
from headgate.entry import Digest
from headgate.errors import BadInput
from headgate.materials import SOFTWARE_BILL
from headgate.model_signature import SIGNATURE
from headgate.records import Evaluated, Registered, Requested, Trained, Validated
from headgate.release import Release

MANIFEST = "manifest.json"
VERIFY_PAGE = "VERIFY.md"

HISTORY = "ledger.jsonl"
"""The stored entries up to the packaging, one per line."""

CHECKPOINT = "checkpoint"
"""The signed checkpoint of those entries."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def manifest(files: Mapping[str, bytes]) -> bytes:
    """The canonical bytes that name every file of a package with its digest. Their digest is the package's.

    Args:
        files: the package's files by name, the manifest not among them.

    Raises:
        BadInput: a name is not a plain file name, so that it could not be laid out and checked as VERIFY.md says.
    """
    odd = sorted(name for name in files if not _NAME.fullmatch(name) or name == MANIFEST)
    if odd or not files:
        raise _no_package(odd)
    return canonical({"format": FORMAT, "files": {name: digest_of(data) for name, data in files.items()}})


def pinned(release: Release) -> dict[str, Digest]:
    """The files of a release's package that are evidence already, by name: what the ledger says they must be.

    Raises:
        BadInput: the gates were not judged yet.
    """
    asked, evaluated = release.step(Requested), release.step(Evaluated)
    found = {
        "policy.toml": asked.policy_file,
        "training-suite.json": asked.training_suite,
        "evaluation-suite.json": asked.evaluation_suite,
        "data-report.json": release.step(Validated).report,
        SOFTWARE_BILL: release.step(Trained).environment,
        SIGNATURE: release.step(Registered).signature,
        "verdicts.json": evaluated.judged,
        "tally.json": evaluated.tally,
    }
    measured = {
        "serving.json": evaluated.serving,
        "scenarios.toml": asked.scenarios,
        "challenges.json": evaluated.challenges,
    }
    return found | {name: digest for name, digest in measured.items() if digest is not None}


def strayed(release: Release, files: Mapping[str, Digest]) -> Iterator[tuple[str, str]]:
    """What a manifest's `files` name otherwise than the ledger does, and how the ledger has it."""
    for name, digest in pinned(release).items():
        if files.get(name) != digest:
            yield f"{files.get(name)} as {name}", f"{digest}, as the ledger says"


def unlike(expected: Mapping[str, Digest], found: Mapping[str, bytes]) -> tuple[str, ...]:
    """The names of files that are missing, added or changed against a manifest's `files`."""
    names = expected.keys() | found.keys()
    return tuple(sorted(n for n in names if n not in found or digest_of(found[n]) != expected.get(n)))


VERIFY = """# How to check this package without Headgate

Everything here is pinned by `manifest.json`, and the package's digest is the SHA-256 of that file:

    sha256sum manifest.json

It must be the `package` that the approval statements in `approvals/` name. Each file must have the digest that the
manifest names (every line of this must say OK):

    python3 -c "import json; files = json.load(open('manifest.json'))['files']; \\
    print(*(d[7:] + '  ' + n for n, d in files.items()), sep='\\\\n')" | sha256sum -c

An approval `approvals/ROLE-PERSON.txt` is verified by OpenSSH with `allowed_signers`; the role is the namespace:

    ssh-keygen -Y verify -f allowed_signers -I PERSON -n ROLE@headgate \\
        -s approvals/ROLE-PERSON.sig < approvals/ROLE-PERSON.txt

`model.sig` is the pipeline's signature under the model's files, in OpenSSF's form. With the model's folder, as
`mlflow artifacts download` gives it:

    model_signing verify key --signature model.sig --public_key pipeline.pub FOLDER

`gates.sigstore.json` and `summary.sigstore.json` are its attestations about the same files, for tools that know
in-toto. With a file of the model beside it (cosign 2 also wants `--new-bundle-format`):

    cosign verify-blob-attestation --bundle gates.sigstore.json --key pipeline.pub --insecure-ignore-tlog \\
        --type https://in-toto.io/attestation/test-result/v0.1 model.skops

Without any of these tools, `openssl` verifies each of them (this must say OK; compare `pipeline.pub` with one that
you have from elsewhere):

    at=$(mktemp -d) && python3 -c "import base64, json, sys; e = json.load(open(sys.argv[1]))['dsseEnvelope']; \\
    kind, said = e['payloadType'].encode(), base64.b64decode(e['payload']); place = sys.argv[2]; \\
    open(place + '/said', 'wb').write(b'DSSEv1 %d %b %d %b' % (len(kind), kind, len(said), said)); \\
    open(place + '/sig', 'wb').write(base64.b64decode(e['signatures'][0]['sig']))" model.sig "$at" &&
    openssl dgst -sha256 -verify pipeline.pub -signature "$at/sig" "$at/said"

`verdicts.sigstore.json` has the verdicts with all their arithmetic; `approvals/approvals.sigstore.json` and
`approvals/promotion.sigstore.json`, which come later, say who answered and that the alias was moved. Their predicates
are described by `lineage-facets.json`.

`checkpoint` holds the ledger's size and Merkle root (RFC 6962) at the packaging, as c2sp.org/tlog-checkpoint says:
every later ledger can be measured by it. The pipeline's key signed the lines before the empty one:

    sed '/^$/,$d' checkpoint > text
    tail -n 1 checkpoint | cut -d ' ' -f 3 | base64 -d | tail -c +5 > signature
    openssl dgst -sha256 -verify pipeline.pub -signature signature text

`ledger.jsonl` holds the ledger's entries up to the packaging, one per line, each as stored: an entry's `prev` is the
SHA-256 of the line before it (without its newline), which this must call True:

    python3 -c "import hashlib, json; lines = open('ledger.jsonl', 'rb').read().splitlines(); \\
    print(all(json.loads(b)['prev'] == 'sha256:' + hashlib.sha256(a).hexdigest() for a, b in zip(lines, lines[1:])))"

With Headgate, `headgate verify` does most of this, judges the gates again, and makes every document again from the
evidence beside it: a card that says something else than the evidence is named.

What this does not show: that the rows were true, that the policy was wise, or what happened after the last approval.
"""

_SINCE_2 = " (cosign 2 also wants `--new-bundle-format`)"


def verify_page(edition: Edition = NOW) -> str:
    """The page that says how to check a package of an edition."""
    return VERIFY if edition > 1 else VERIFY.replace(_SINCE_2, "")


def _no_package(odd: Sequence[str]) -> BadInput:
    return BadInput(
        "release package",
        got=f"files called {list(odd)}" if odd else "no files",
        expected=f"files with plain names of letters, digits, '.', '_', '-', none of them {MANIFEST}",
        next_step="correct the call that packs them",
    )
