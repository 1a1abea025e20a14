"""The phases of a measurement, with subjects whose clock is a script."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.harness.protocol import MIN_RUNS, Loaded, Plan, TimedRun, measure, summarise


class Scripted:
    """Takes `times_ns[i]` for its i-th run, and notes in a shared diary that it was run."""

    def __init__(self, name, diary, times_ns):
        self.name, self.diary, self.times = name, diary, list(times_ns)

    def load(self):
        self.diary.append(f"load {self.name}")
        return Loaded(import_ns=7_000_000, init_ns=3_000_000)

    def run(self):
        self.diary.append(self.name)
        return TimedRun(self.times.pop(0), preemptions=len(self.times) % 2)


def _pair(plan):
    diary = []
    count = 1 + plan.warmup + plan.runs
    a = Scripted("a", diary, range(1_000_000, 1_000_000 * (count + 1), 1_000_000))
    b = Scripted("b", diary, [5_000_000] * count)
    return diary, [a, b]


def test_first_run_and_warm_up_are_not_samples():
    plan = Plan(runs=30, warmup=4)
    _, subjects = _pair(plan)
    first, second = measure(subjects, plan)
    assert first.import_ms == 7
    assert first.init_ms == 3
    assert first.first_run_ms == 1
    assert first.samples_ms == tuple(float(i) for i in range(6, 36))
    assert second.samples_ms == (5.0,) * 30
    assert first.preempted_runs == 15


def test_every_round_runs_each_once_and_none_is_always_first():
    plan = Plan(runs=30, warmup=2)
    diary, subjects = _pair(plan)
    measure(subjects, plan)
    assert diary[:4] == ["load a", "load b", "a", "b"]
    rounds = [diary[i : i + 2] for i in range(4, len(diary), 2)]
    assert len(rounds) == 32
    assert all(sorted(turn) == ["a", "b"] for turn in rounds)
    assert sum(turn[0] == "a" for turn in rounds) == 16


def test_no_subject_always_follows_the_same_other():
    diary = []
    subjects = [Scripted(name, diary, [1_000_000] * 33) for name in "abcd"]
    measure(subjects, Plan(runs=32, warmup=0))
    runs = diary[8:]
    for name in "abcd":
        before = [one for one, two in itertools.pairwise(runs) if two == name and one != name]
        assert max(before.count(other) for other in set(before)) <= 0.6 * len(before)


def test_steps_are_told():
    plan = Plan(runs=30, warmup=1)
    _, subjects = _pair(plan)
    steps = []
    measure(subjects, plan, steps.append)
    assert steps[:4] == ["loading", "first run", "warm-up 1 of 1", "run 1 of 30"]
    assert steps[-1] == "run 30 of 30"


@pytest.mark.parametrize("runs", [-1, 0, 1, MIN_RUNS - 1])
def test_too_few_runs_are_refused(runs):
    with pytest.raises(InputError, match=f"timed runs must be at least 30, got {runs}"):
        Plan(runs=runs)


def test_negative_warm_up_is_refused():
    with pytest.raises(InputError, match="-1"):
        Plan(warmup=-1)


SAMPLES = st.lists(st.floats(0.001, 1e5), min_size=2, max_size=200)


@given(SAMPLES)
def test_statistics_agree_with_the_standard_library(samples):
    found = summarise(samples)
    assert found.median_ms == pytest.approx(statistics.median(samples))
    assert found.mean_ms == pytest.approx(statistics.fmean(samples))
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    assert found.p90_ms == pytest.approx(cuts[89])
    assert found.p99_ms == pytest.approx(cuts[98])
    assert (found.min_ms, found.max_ms) == (min(samples), max(samples))


@given(SAMPLES, st.randoms())
def test_statistics_do_not_depend_on_order_and_are_ordered(samples, random):
    shuffled = samples[:]
    random.shuffle(shuffled)
    one, other = summarise(samples), summarise(shuffled)
    assert np.allclose(list(one.model_dump().values()), list(other.model_dump().values()))
    slack = 1e-9 * one.max_ms
    assert one.min_ms <= one.median_ms + slack <= one.p90_ms + 2 * slack
    assert one.p90_ms <= one.p99_ms + slack <= one.max_ms + 2 * slack
