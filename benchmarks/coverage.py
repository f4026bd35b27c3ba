"""Coverage: how often the gates' bounds miss the truth, and how often verdicts are wrong, by simulation.

    python -m benchmarks.coverage [--runs N] [--task TASK]

A fixed population of 200,000 rows is the truth; samples are drawn from it with replacement, always the same ones. Of
each metric, its paired difference to the champion and its gap between two groups, the two one-sided bounds at 5% are
asked whether the truth is beyond them. Shown is the larger of the two shares of misses, with Clopper and Pearson's
interval at 95%. Sizes that a method refuses to decide at all count as no miss, and as such in the column "undecided".
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from headgate.batch import Batch
from headgate.bounds import proportion
from headgate.estimate import Estimate, difference, gaps, measure
from headgate.metrics import Task
from headgate.quality import metrics_of
from headgate.scheme import Scheme, Score
from headgate.slices import Column
from headgate.tally import Tally, count

ALPHA, SIZES, POPULATION, SEED = 0.05, (50, 500, 5_000), 200_000, 17

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Everybody: labels, and what candidate and champion say."""

    name: str
    scheme: Scheme
    labels: Array
    said: tuple[Array, Array]
    group: NDArray[np.int32]
    own: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)

    def tally(self, at: NDArray[np.int64] | slice) -> Tally:
        """The tally of some of them."""
        columns = {"group": Column(("group=a", "group=b"), self.group[at])}
        scores = {name: [each[at] for each in both] for name, both in self.own.items()}
        return count(self.scheme, Batch(self.labels[at], [each[at] for each in self.said], columns, scores))


def binary(name: str, prevalence: float) -> World:
    """An overconfident candidate that is worse for one group, and a noisier champion."""
    random = np.random.default_rng(SEED)
    truth = random.beta(3 * prevalence, 3 * (1 - prevalence), POPULATION).clip(0.002, 0.998)
    labels, group = (random.random(POPULATION) < truth).astype(float), random.random(POPULATION) < 0.4
    logit = np.log(truth / (1 - truth))
    said = (1.2 * logit + random.normal(0, np.where(group, 0.9, 0.4)), logit + random.normal(0, 0.8, POPULATION))
    candidate, champion = (1 / (1 + np.exp(-each)) for each in said)
    scheme = Scheme("binary", 2, (("group",),), threshold=0.5)
    return World(name, scheme, labels, (candidate, champion), group.astype(np.int32))


def multiclass() -> World:
    """Three classes of unequal size."""
    random = np.random.default_rng(SEED)
    logits = random.normal(0, 1.5, (POPULATION, 3)) + np.array([0.8, 0.0, -0.8])
    labels = _softmax(logits).cumsum(axis=1).__lt__(random.random((POPULATION, 1))).sum(axis=1).clip(0, 2).astype(float)
    group = (random.random(POPULATION) < 0.4).astype(np.int32)
    said = (
        _softmax(logits + random.normal(0, 0.4 + 0.5 * group[:, None], logits.shape)),
        _softmax(logits + random.normal(0, 0.9, logits.shape)),
    )
    return World("multiclass", Scheme("multiclass", 2, (("group",),), classes=("x", "y", "z")), labels, said, group)


def regression() -> World:
    """Skew labels and errors that grow with them."""
    random = np.random.default_rng(SEED)
    labels = random.gamma(2.0, 8.0, POPULATION).clip(0, 100)
    group = (random.random(POPULATION) < 0.4).astype(np.int32)
    said = tuple(
        (labels + 0.3 + random.laplace(0, scale * (1 + labels / 20))).clip(0, 100) for scale in (1 + group, 2.0)
    )
    scheme = Scheme("regression", 2, (("group",),), span=(0.0, 100.0))
    return World("regression", scheme, labels, (said[0], said[1]), group)


def scored() -> World:
    """A score of one's own, in [0, 1], mostly near 0."""
    random = np.random.default_rng(SEED)
    group = (random.random(POPULATION) < 0.4).astype(np.int32)
    shared = random.beta(0.4, 4.0, POPULATION)
    both = tuple((0.8 * shared + 0.2 * random.beta(1 + k, 6.0, POPULATION)) for k in (group, 0.5))
    nothing = np.zeros(POPULATION)
    scheme = Scheme("scored", 2, (("group",),), scores=(Score("mean_score", 0.0, 1.0),))
    return World("scored", scheme, nothing, (nothing, nothing), group, {"mean_score": (both[0], both[1])})


WORLDS: Mapping[Task, tuple[Callable[[], World], ...]] = {
    "binary": (
        lambda: binary("binary, 30% of label 1", 0.3),
        lambda: binary("binary, 3% of label 1: rates near 0 and 1", 0.03),
    ),
    "multiclass": (multiclass,),
    "regression": (regression,),
    "scored": (scored,),
}


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def asked(tally: Tally, metric: str) -> Iterator[tuple[str, Estimate | None]]:
    """The estimates that a gate may rest on: the value, the change and the gap; None where there is none."""
    found = (
        measure(tally, metric, "all"),
        difference(tally, metric, "all"),
        *(gap.estimate for gap in gaps(tally, metric, "group")),
    )
    for question, estimate in zip(("value", "change", "gap"), found, strict=False):
        yield question, estimate if isinstance(estimate, Estimate) else None


@dataclass
class Misses:
    """Of one estimate in many samples: how often the truth was below and above its bounds, how often it had none."""

    below: int = 0
    above: int = 0
    undecided: int = 0

    def add(self, estimate: Estimate | None, truth: float) -> None:
        """Count one sample."""
        low, high = (-np.inf, np.inf) if estimate is None else estimate.bounds(ALPHA)
        self.below += truth < low
        self.above += truth > high
        self.undecided += not (np.isfinite(low) or np.isfinite(high))


def simulated(world: World, n: int, runs: int) -> dict[tuple[str, str], Misses]:
    """The misses by metric and question."""
    metrics, random = metrics_of(world.scheme), np.random.default_rng(SEED + n)
    whole = world.tally(slice(None))
    truths = {(m, q): e.value for m in metrics for q, e in asked(whole, m) if e is not None}
    found = {key: Misses() for key in truths}
    for _ in range(runs):
        sample = world.tally(random.integers(0, POPULATION, n))
        for metric in metrics:
            for question, estimate in asked(sample, metric):
                if (metric, question) in truths:
                    found[metric, question].add(estimate, truths[metric, question])
    return found


def show(world: World, runs: int) -> tuple[int, int]:
    """Print one world as Markdown; how many shares there are, and how many are significantly above alpha."""
    by_size = {n: simulated(world, n, runs) for n in SIZES}
    print(f"\n### {world.name}: misses of a one-sided bound at {ALPHA:.0%}, {runs:,} samples of each size\n")
    print("| metric | of | " + " | ".join(f"n = {n:,}" for n in SIZES) + " |\n|---|---|" + "---|" * len(SIZES))
    over = 0
    for metric, question in by_size[SIZES[0]]:
        cells = []
        for n in SIZES:
            each = by_size[n][metric, question]
            worst = max(each.below, each.above)
            low, high = (float(x) for x in proportion(worst, runs, 0.025))
            over += low > ALPHA
            note = f", {each.undecided / runs:.0%} undecided" if each.undecided else ""
            cells.append(
                f"{'**' * (low > ALPHA)}{worst / runs:.1%}{'**' * (low > ALPHA)} ({low:.1%} to {high:.1%}){note}"
            )
        print(f"| {metric} | {question} | " + " | ".join(cells) + " |")
    return len(by_size[SIZES[0]]) * len(SIZES), over


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000, help="samples of each size [default: 2,000]")
    parser.add_argument("--task", choices=[*WORLDS], action="append", help="only this task")
    given = parser.parse_args()
    counted = [show(make(), given.runs) for task in given.task or WORLDS for make in WORLDS[task]]
    shares, over = (sum(each) for each in zip(*counted, strict=True))
    print(f"\n{over} of {shares} shares are significantly above {ALPHA:.0%} (printed bold).")


if __name__ == "__main__":
    main()
