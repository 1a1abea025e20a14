"""Steps of a measurement (load, first run, warm-up, timed runs), and statistics of the samples.

Several subjects are measured in rounds, with one run of each subject per round, so that changes of
the clock rate, the temperature or the load of other users affect all subjects equally.
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
"""Least number of timed runs: with fewer, the median is uncertain, and p90 is of three values."""


@dataclass(frozen=True)
class Loaded:
    """Times of loading the runtime's libraries and the program, in nanoseconds."""

    import_ns: int
    init_ns: int


@dataclass(frozen=True)
class TimedRun:
    """Time of one run in nanoseconds, and how often the system preempted it."""

    elapsed_ns: int
    preemptions: int = 0


class Subject(Protocol):
    """A program that can be loaded once and run many times, and measures its own times."""

    def load(self) -> Loaded:
        """Load the program, and return the times; called once, before any run."""
        ...

    def run(self) -> TimedRun:
        """Run the program once, and return its time."""
        ...


@dataclass(frozen=True)
class Plan:
    """Numbers of runs of a measurement.

    Attributes:
        runs: Number of timed runs, at least MIN_RUNS.
        warmup: Number of runs between the first run and the timed runs, which are not recorded.

    Raises:
        InputError: If `runs` is less than MIN_RUNS, or `warmup` is negative.
    """

    runs: int = MIN_RUNS
    warmup: int = 10

    def __post_init__(self) -> None:
        if self.runs < MIN_RUNS:
            raise InputError(
                f"the number of timed runs must be at least {MIN_RUNS}, got {self.runs}"
            )
        if self.warmup < 0:
            raise InputError(f"the number of warm-up runs must be 0 or more, got {self.warmup}")


@dataclass(frozen=True)
class Timing:
    """Times of one subject, in milliseconds.

    Attributes:
        import_ms: Time of loading the runtime's libraries.
        init_ms: Time of loading the program.
        first_run_ms: Time of the first run.
        samples_ms: Times of the timed runs, in order.
        preempted_runs: Number of timed runs that another process preempted.
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

    Every round runs each subject once, and starts one subject later than the previous one. After as
    many rounds as there are subjects, as many follow in reverse. So no subject always follows the
    same other one, whose code and data would still be in the cache.

    Args:
        subjects: Subjects that are not loaded yet.
        plan: Numbers of runs.
        on_step: Function that is called with a description of each step before it starts.

    Returns:
        The times of each subject, in the order of `subjects`.
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
        for index in order if turn // len(order) % 2 == 0 else reversed(order):
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
    """Compute statistics of timed runs.

    Percentiles are interpolated linearly between the two nearest samples. With 30 samples, the p99
    lies between the two slowest and adds no information to them.

    Args:
        samples_ms: Times of at least one run, in milliseconds.
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
