"""Steps of a measurement: load, first run, warm-up until stable, timed runs, sustained runs.

Several subjects are measured in rounds, with one turn of each subject per round, so that changes of
the clock rate, the temperature or the load of other users affect all subjects equally.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_pipeline.errors import InputError

__all__ = [
    "MIN_RUNS",
    "UNTIMED",
    "Loaded",
    "Plan",
    "Subject",
    "TimedRun",
    "Timing",
    "measure",
    "sustain",
]

MIN_RUNS = 30
"""Least number of timed runs: with fewer, the median is uncertain, and p90 is of three values."""

# The warm-up is stable if the medians of the last two windows of rounds differ by at most 5 %.
_WINDOW = 5
_STABLE = 0.05
# A subject that is never stable is measured after ten times the requested warm-up.
_MOST_WARMUPS = 10
_BLOCK_S = 10.0


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
    """A program that can be loaded once and run many times, and measures its own times.

    Attributes:
        block: Number of runs that one order executes at least; 1 unless an order takes long.
    """

    block: int

    def load(self) -> Loaded:
        """Load the program, and return the times; called once, before any run."""
        ...

    def run(self, count: int) -> list[TimedRun]:
        """Run the program `count` times, and return the time of each run."""
        ...


@dataclass(frozen=True)
class Plan:
    """Numbers and durations of runs of a measurement.

    Attributes:
        runs: Least number of timed runs, at least MIN_RUNS.
        seconds: Least duration of the timed runs of all subjects together.
        warmup: Least number of runs between the first run and the timed runs; they are not
            recorded. The warm-up continues until the times are stable. 0 for no warm-up.
        sustained_s: Duration of the sustained runs of each subject; 0 for none.

    Raises:
        InputError: If `runs` is less than MIN_RUNS, or another value is negative.
    """

    runs: int = 50
    seconds: float = 5.0
    warmup: int = 10
    sustained_s: float = 0.0

    def __post_init__(self) -> None:
        if self.runs < MIN_RUNS:
            raise InputError(
                f"the number of timed runs must be at least {MIN_RUNS}, got {self.runs}"
            )
        if self.warmup < 0:
            raise InputError(f"the number of warm-up runs must be 0 or more, got {self.warmup}")
        for name, value in (("timed", self.seconds), ("sustained", self.sustained_s)):
            if not 0 <= value < 86400:
                raise InputError(
                    f"the duration of the {name} runs must be from 0 s to a day, got {value:g} s"
                )


@dataclass(frozen=True)
class Timing:
    """Times of one subject, in milliseconds; None for a time that was not measured.

    Attributes:
        import_ms: Time of loading the runtime's libraries.
        init_ms: Time of loading the program.
        first_inference_ms: Time of the first run.
        samples_ms: Times of the timed runs, in order.
        preempted_runs: Number of timed runs that another process preempted.
        num_warmup_runs: Number of warm-up runs.
        warmup_stable: Whether the warm-up ended because the times were stable; None without one.
    """

    import_ms: float | None
    init_ms: float | None
    first_inference_ms: float | None
    samples_ms: tuple[float, ...]
    preempted_runs: int
    num_warmup_runs: int
    warmup_stable: bool | None


UNTIMED = Timing(None, None, None, (), 0, 0, None)
"""Times of a subject whose times mean nothing, because an emulator runs it."""


class _Rounds:
    """Rounds of all subjects, each of which starts with another subject.

    Every round runs each subject once, and starts one subject later than the previous one. After as
    many rounds as there are subjects, as many follow in reverse. So no subject always follows the
    same other one, whose code and data would still be in the cache.
    """

    def __init__(self, subjects: Sequence[Subject]) -> None:
        self._subjects = subjects
        self._order = list(range(len(subjects)))
        self._turn = 0
        self.block = max((subject.block for subject in subjects), default=1)

    def next(self) -> list[list[TimedRun]]:
        """Run each subject `block` times, and return its runs, in the order of the subjects."""
        forth = self._turn // len(self._order) % 2 == 0
        found: list[list[TimedRun]] = [[] for _ in self._subjects]
        for index in self._order if forth else reversed(self._order):
            found[index] = self._subjects[index].run(self.block)
        self._order.append(self._order.pop(0))
        self._turn += 1
        return found


def measure(
    subjects: Sequence[Subject], plan: Plan, on_step: Callable[[str], None] = lambda _step: None
) -> list[Timing]:
    """Measure subjects together.

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
    first = [subject.run(1)[0] for subject in subjects]
    rounds = _Rounds(subjects)
    warmups, is_stable = _warm_up(rounds, plan, on_step)
    timed: list[list[TimedRun]] = [[] for _ in subjects]
    done, spent_ns = 0, 0
    while done < plan.runs or spent_ns < plan.seconds * 1e9:
        on_step(f"run {done + 1} of {max(plan.runs, done + 1)}")
        for runs, new in zip(timed, rounds.next(), strict=True):
            runs += new
            spent_ns += sum(run.elapsed_ns for run in new)
        done += rounds.block
    return [
        Timing(
            import_ms=load.import_ns / 1e6,
            init_ms=load.init_ns / 1e6,
            first_inference_ms=start.elapsed_ns / 1e6,
            samples_ms=tuple(run.elapsed_ns / 1e6 for run in runs),
            preempted_runs=sum(run.preemptions > 0 for run in runs),
            num_warmup_runs=warmups,
            warmup_stable=is_stable,
        )
        for load, start, runs in zip(loaded, first, timed, strict=True)
    ]


def _warm_up(
    rounds: _Rounds, plan: Plan, on_step: Callable[[str], None]
) -> tuple[int, bool | None]:
    """Run until the times are stable; return the runs of each subject, and whether they are."""
    if not plan.warmup:
        return 0, None
    medians: list[list[float]] = []
    done = 0
    while done < _MOST_WARMUPS * plan.warmup:
        on_step(f"warm-up {done + 1}")
        found = rounds.next()
        medians.append([statistics.median(run.elapsed_ns for run in runs) for runs in found])
        done += rounds.block
        if done >= plan.warmup and _is_stable(medians):
            return done, True
    return done, False


def _is_stable(rounds: Sequence[Sequence[float]]) -> bool:
    """Return whether each subject's last window is as fast as the one before."""
    if len(rounds) < 2 * _WINDOW:
        return False
    for times in zip(*rounds[-2 * _WINDOW :], strict=True):
        before, now = statistics.median(times[:_WINDOW]), statistics.median(times[_WINDOW:])
        if abs(now - before) > _STABLE * before:
            return False
    return True


def sustain(
    subject: Subject,
    seconds: float,
    on_block: Callable[[], None] = lambda: None,
    *,
    block_s: float = _BLOCK_S,
) -> tuple[float, list[float]]:
    """Run a loaded subject without pause for a duration.

    Args:
        subject: A loaded subject.
        seconds: Least duration of the runs.
        on_block: Function that is called at the end of each block.
        block_s: Duration of a block.

    Returns:
        The duration of a block in seconds, and the median of each block in milliseconds.
    """
    block_s = min(block_s, seconds)
    medians: list[float] = []
    for _ in range(max(1, round(seconds / block_s))):
        runs: list[TimedRun] = []
        while sum(run.elapsed_ns for run in runs) < block_s * 1e9:
            runs += subject.run(subject.block)
        medians.append(statistics.median(run.elapsed_ns for run in runs) / 1e6)
        on_block()
    return block_s, medians
