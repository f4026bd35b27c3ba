"""What is made of a serving profile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from headgate.errors import BadInput, Tampered
from headgate.estimate import Estimate, Unmeasurable
from headgate.metrics import RESOURCES
from headgate.serving import ServingProfile

FULL: dict[str, Any] = {
    "latencies_us": tuple(range(1_000, 2_000)),
    "batch_rows": 500,
    "batches_us": tuple(range(100_000, 115_000, 1_000)),
    "loads_ms": (900.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0),
    "peak_memory_mib": 321.5,
    "model_bytes": 3 * 2**19,
}
PROFILE = ServingProfile(**FULL)


@pytest.mark.parametrize(
    ("metric", "share"), [("latency_p50_ms", 0.5), ("latency_p95_ms", 0.95), ("latency_p99_ms", 0.99)]
)
def test_latencies_are_quantiles_with_order_statistics(metric, share):
    found = PROFILE.estimate(metric)
    assert isinstance(found, Estimate)
    assert found.value == np.quantile(np.array(FULL["latencies_us"]) / 1000, share, method="inverted_cdf")
    ascending = [us / 1000 for us in FULL["latencies_us"]]
    for alpha in (0.05, 0.2):
        lower, upper = found.bounds(alpha)
        # By the binomial count of values below the quantile: the tightest ranks that hold with 1 - alpha.
        assert (
            binom.cdf(ascending.index(lower), 1000, share) <= alpha < binom.cdf(ascending.index(lower) + 1, 1000, share)
        )
        assert (
            binom.sf(ascending.index(upper), 1000, share) <= alpha < binom.sf(ascending.index(upper) - 1, 1000, share)
        )


def test_the_throughput_is_that_of_the_median_batch():
    found = PROFILE.estimate("throughput_rows_per_s")
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(500 / 0.107)
    lower, upper = found.bounds(0.05)
    assert 500 / 0.114 <= lower < found.value < upper <= 500 / 0.1
    assert (found.n, found.method) == (15, "order statistics")


def test_the_first_load_does_not_move_the_median():
    found = PROFILE.estimate("load_ms")
    assert isinstance(found, Estimate)
    assert found.value == 15.0
    assert found.bounds(0.5**9) == (11.0, 900.0), "nine loads bound the median at 2^-9"
    five = ServingProfile(**{**FULL, "loads_ms": (50.0, 3.0, 2.0, 1.0, 4.0)}).estimate("load_ms")
    assert isinstance(five, Estimate)
    assert five.bounds(0.05) == (1.0, 50.0)
    assert five.bounds(0.01) == (-math.inf, math.inf), "five loads say nothing so surely"


def test_memory_and_size_are_what_they_are():
    for metric, value in (("peak_memory_mib", 321.5), ("model_size_mib", 1.5)):
        found = PROFILE.estimate(metric)
        assert isinstance(found, Estimate)
        assert (found.value, found.bounds(1e-9), found.n) == (value, (value, value), 1)


def test_what_was_not_measured_has_no_estimate():
    empty = ServingProfile(latencies_us=(), loads_ms=(), peak_memory_mib=1.0)
    for metric in set(RESOURCES) - {"peak_memory_mib"}:
        assert isinstance(empty.estimate(metric), Unmeasurable), metric
    assert isinstance(ServingProfile(**{**FULL, "batch_rows": 0}).estimate("throughput_rows_per_s"), Unmeasurable)
    assert isinstance(ServingProfile(**{**FULL, "model_bytes": 0}).estimate("model_size_mib"), Unmeasurable)
    assert isinstance(PROFILE.estimate("roc_auc"), Unmeasurable)


def test_every_resource_is_estimated():
    assert all(isinstance(PROFILE.estimate(metric), Estimate) for metric in RESOURCES)


def test_a_batch_that_took_no_time_is_not_endless():
    found = ServingProfile(**{**FULL, "batches_us": (0,) * 9}).estimate("throughput_rows_per_s")
    assert isinstance(found, Estimate)
    assert math.isfinite(found.value)


def test_a_profile_is_its_bytes():
    assert ServingProfile.from_bytes(PROFILE.to_bytes()) == PROFILE
    assert ServingProfile.from_bytes(PROFILE.to_bytes()).digest == PROFILE.digest
    with pytest.raises(Tampered):
        ServingProfile.from_bytes(PROFILE.to_bytes() + b" ")
    for wrong in (b"{}", PROFILE.to_bytes().replace(b'"batch_rows":500', b'"batch_rows":-1')):
        with pytest.raises(BadInput, match="serving profile"):
            ServingProfile.from_bytes(wrong)
