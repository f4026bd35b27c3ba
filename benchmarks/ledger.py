"""Ledger: what an append costs at 10 and at 100,000 entries, and what it costs to verify all of them.

    python -m benchmarks.ledger [--entries 100000] [--pairs 40]

Both ledgers are folders of a home of their own, read by one process. An append is all that a step does to record: look
whether anything is new, check the rules, sign, write, fsync. The two are written in turn, so that a busy machine is
busy for both; the ratio is the median of those of the pairs. The entries are whole releases of thirteen records each.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from benchmarks.memory import resident
from headgate.ledger import Ledger, slot_name
from headgate.record import Record
from headgate.records import (
    KINDS,
    ApprovalRequested,
    Approved,
    Evaluated,
    Packaged,
    Promoted,
    PromotionStarted,
    Registered,
    Requested,
    Snapshot,
    Table,
    Trained,
    Validated,
)
from headgate.verdict import Verdict
from tasks.record import Desk

DIGEST = "sha256:" + "0" * 64
TIME = "2026-07-01T12:00:00.000Z"
TABLE = Table(origin="rows.parquet", digest=DIGEST, suffix=".parquet", size=1, rows=1000, columns=("a", "b", "label"))


def release(number: int) -> Iterator[Record]:
    """The records of one release that goes live, in the thirteen slots that follow those of the releases before it."""
    first, old = 13 * number, number or None
    pinned = dict.fromkeys(("policy", "policy_file", "training_suite", "evaluation_suite"), DIGEST)
    yield Requested(requester="dana", folder="f", training="t", evaluation="e", champion=old, **pinned)
    yield Snapshot(training=TABLE, evaluation=TABLE)
    yield Validated(verdict=Verdict.PASS, report=DIGEST)
    yield Trained(estimator=DIGEST, format="skops", features=("a", "b"), seconds=1.0, environment=DIGEST)
    files = {f"file{i}": DIGEST for i in range(6)}
    yield Registered(
        version=number + 1, run=f"run{number}", source=f"models:/m-{number}", files=files, signature=DIGEST
    )
    yield Evaluated(verdict=Verdict.PASS, judged=DIGEST, tally=DIGEST, serving=DIGEST, champion=old)
    yield Packaged(package=DIGEST)
    yield ApprovalRequested(roles={"risk": 1, "product": 2}, expires="2099-01-01T00:00:00Z")
    for person, role in (("ana", "risk"), ("bob", "product"), ("cat", "product")):
        yield Approved(role=role, person=person, key=person, statement=DIGEST, signature=DIGEST, signers=DIGEST)
    answers = (first + 8, first + 9, first + 10)
    new = number + 1
    yield PromotionStarted(alias="champion", old=old, new=new, package=DIGEST, policy=DIGEST, approvals=answers)
    yield Promoted(alias="champion", old=old, new=new, started=first + 11)


def story() -> Iterator[tuple[str, Record]]:
    """Releases without an end, record by record."""
    return ((f"bench-{number}", record) for number in count() for record in release(number))


class Filled:
    """A ledger of so many entries in a folder, and what comes next.

    Writing them one by one would wait for the disk a hundred thousand times: they are sealed and laid down at once.
    """

    def __init__(self, home: Path, entries: int) -> None:
        self.desk, self._story = Desk.create(home, "bench"), story()
        folder = (self.desk.home.store / slot_name("bench", 0)).parent
        folder.mkdir(parents=True)
        ledger = Ledger("bench")
        for name, record in islice(self._story, entries):
            ledger = self._laid(ledger, name, record)

    def _laid(self, ledger: Ledger, name: str, record: Record) -> Ledger:
        kind, body, nonce = KINDS[type(record)], record.model_dump(mode="json"), f"nonce-{ledger.size:09}"
        entry, data = ledger.sealed(
            self.desk.signer, kind=kind, actor="pipeline", body=body, release=name, time=TIME, nonce=nonce
        )
        (self.desk.home.store / slot_name("bench", ledger.size)).write_bytes(data)
        return ledger.grown(entry, data)

    def append(self) -> float:
        """The seconds of one append."""
        name, record = next(self._story)
        begun = time.perf_counter()
        self.desk.write(name, record)
        return time.perf_counter() - begun


def main() -> None:
    """Fill, verify, append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        small, large = Filled(Path(place) / "small", 10), Filled(Path(place) / "large", given.entries)
        print(f"verify {given.entries:,} entries: {_verified(large.desk, given.entries)}", flush=True)
        small.desk.state()
        pairs = [(small.append(), large.append()) for _ in range(given.pairs)]
    _report(pairs, given.entries)


def _verified(desk: Desk, entries: int) -> str:
    begun = time.perf_counter()
    ledger = desk.ledger()
    read = time.perf_counter() - begun
    desk.state(ledger)
    folded = time.perf_counter() - begun - read
    assert ledger.size == entries  # noqa: S101  # else it measured something else
    each = 1e6 * (read + folded) / entries
    return f"read {read:.1f} s, rules {folded:.1f} s, {each:.0f} µs each, peak {resident('VmHWM'):.0f} MiB"


def _report(pairs: list[tuple[float, float]], entries: int) -> None:
    ratios = statistics.quantiles([large / small for small, large in pairs], n=20)
    few, many = (1000 * statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"append: {few:.1f} ms at 10 entries, {many:.1f} ms at {entries:,}; {len(pairs)} pairs")
    print(f"ratio:  {ratios[9]:.2f} (5% to 95% of the pairs: {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
