"""Statistics of timed runs: percentiles, and ratios of programs that ran in the same rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_pipeline.record import Latency

__all__ = ["Ratio", "ratio_of", "summarise"]

_RESAMPLES = 2000
_CHUNK = 1 << 22
_SEED = 0


@dataclass(frozen=True)
class Ratio:
    """Ratio of two medians, and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval does not contain 1."""
        return not self.low <= 1 <= self.high


def summarise(samples_ms: Sequence[float]) -> Latency:
    """Compute statistics of timed runs.

    Percentiles are interpolated linearly between the two nearest samples. With 30 samples, the p99
    lies between the two slowest and adds no information to them. The standard deviation is that of
    the samples (divided by their number less one); it is 0 for one sample.

    Args:
        samples_ms: Times of at least one run, in milliseconds.
    """
    values = np.asarray(samples_ms, np.float64)
    p5, median, p90, p95, p99 = np.percentile(values, [5, 50, 90, 95, 99])
    return Latency(
        median_ms=float(median),
        p5_ms=float(p5),
        p90_ms=float(p90),
        p95_ms=float(p95),
        p99_ms=float(p99),
        min_ms=float(values.min()),
        max_ms=float(values.max()),
        avg_ms=float(values.mean()),
        stddev_ms=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
    )


def ratio_of(first_ms: Sequence[float], second_ms: Sequence[float]) -> Ratio:
    """Return the median of the first program's times divided by that of the second's.

    The interval contains the central 95 % of the ratios of 2000 resamples. A resample draws rounds
    with replacement, so that a disturbance of a round remains in both medians or in none.

    Args:
        first_ms: Times of the first program, one per round, greater than 0.
        second_ms: Times of the second program in the same rounds.

    Raises:
        ValueError: If the numbers of rounds differ, or are 0.
    """
    first, second = (np.asarray(times, np.float64) for times in (first_ms, second_ms))
    if len(first) != len(second) or not len(first):
        raise ValueError(f"expected the times of the same rounds, got {len(first)}, {len(second)}")
    rng = np.random.default_rng(_SEED)
    ratios = []
    left = _RESAMPLES
    while left:
        number = min(left, max(1, _CHUNK // len(first)))
        rows = rng.integers(len(first), size=(number, len(first)))
        ratios.append(np.median(first[rows], axis=1) / np.median(second[rows], axis=1))
        left -= number
    low, high = np.percentile(np.concatenate(ratios), [2.5, 97.5])
    return Ratio(float(np.median(first) / np.median(second)), float(low), float(high))
