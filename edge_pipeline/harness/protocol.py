"""How a measurement goes: load, first run, warm-up, timed runs; and what is said of the samples.

Several subjects are measured in rounds, one run of each a round, so that whatever drifts – the
clock rate, the room's temperature, another user – drifts for all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_pipeline.errors import InputError
from edge_pipeline.record import Latency

__all__ = ["MIN_RUNS", "Loaded", "Plan", "Subject", "TimedRun", "Timing", "measure", "summarise"]

MIN_RUNS = 30
"""Fewer samples leave the median's spread unknown and make a p90 of three values."""


@dataclass(frozen=True)
class Loaded:
    """What loading took, in nanoseconds: the runtime's libraries, then the program."""

    import_ns: int
    init_ns: int


@dataclass(frozen=True)
class TimedRun:
    """One run: its time, and how often the system took the processor away meanwhile."""

    elapsed_ns: int
    preemptions: int = 0


class Subject(Protocol):
    """Something that can be loaded once and run many times, and times itself."""

    def load(self) -> Loaded:
        """Load it; called once, before any run."""
        ...

    def run(self) -> TimedRun:
        """Run it once."""
        ...


@dataclass(frozen=True)
class Plan:
    """How often to run.

    Attributes:
        runs: timed runs, at least MIN_RUNS.
        warmup: runs before them, after the first, that are not kept.

    Raises:
        InputError: too few runs, or a negative warm-up.
    """

    runs: int = MIN_RUNS
    warmup: int = 10

    def __post_init__(self) -> None:
        if self.runs < MIN_RUNS:
            raise InputError(f"{self.runs} timed runs are too few; at least {MIN_RUNS} are needed")
        if self.warmup < 0:
            raise InputError(f"a warm-up of {self.warmup} runs makes no sense; give 0 or more")


@dataclass(frozen=True)
class Timing:
    """What was measured of one subject.

    Attributes:
        import_ms: loading the runtime's libraries.
        init_ms: loading the program.
        first_run_ms: the first run.
        samples_ms: the timed runs, in their order.
        preempted_runs: how many of them lost the processor to another process.
    """

    import_ms: float
    init_ms: float
    first_run_ms: float
    samples_ms: tuple[float, ...]
    preempted_runs: int


def measure(
    subjects: Sequence[Subject], plan: Plan, on_step: Callable[[str], None] = lambda _step: None
) -> list[Timing]:
    """Measure subjects together.

    Every round runs each subject once and starts with another one, so that none is always the
    one that follows the same other.

    Args:
        subjects: not yet loaded.
        plan: how often to run.
        on_step: told in words what comes next.

    Returns:
        A timing for each, in the order of `subjects`.
    """
    on_step("loading")
    loaded = [subject.load() for subject in subjects]
    on_step("first run")
    first = [subject.run() for subject in subjects]
    samples: list[list[TimedRun]] = [[] for _ in subjects]
    order = list(range(len(subjects)))
    for turn in range(plan.warmup + plan.runs):
        timed = turn >= plan.warmup
        done, of = (turn - plan.warmup, plan.runs) if timed else (turn, plan.warmup)
        on_step(f"{'run' if timed else 'warm-up'} {done + 1} of {of}")
        for index in order:
            sample = subjects[index].run()
            if timed:
                samples[index].append(sample)
        order.append(order.pop(0))
    return [
        Timing(
            load.import_ns / 1e6,
            load.init_ns / 1e6,
            start.elapsed_ns / 1e6,
            tuple(sample.elapsed_ns / 1e6 for sample in runs),
            sum(sample.preemptions > 0 for sample in runs),
        )
        for load, start, runs in zip(loaded, first, samples, strict=True)
    ]


def summarise(samples_ms: Sequence[float]) -> Latency:
    """Statistics of timed runs.

    Percentiles interpolate linearly between the two nearest samples; of 30 samples the p99 lies
    between the two slowest, and says no more than they do.

    Args:
        samples_ms: at least one.
    """
    values = np.asarray(samples_ms, np.float64)
    median, p90, p99 = np.percentile(values, [50, 90, 99])
    return Latency(
        median_ms=float(median),
        p90_ms=float(p90),
        p99_ms=float(p99),
        min_ms=float(values.min()),
        max_ms=float(values.max()),
        mean_ms=float(values.mean()),
    )
