"""The phases of a measurement, with subjects whose clock is a script."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.harness.protocol import MIN_RUNS, Loaded, Plan, TimedRun, measure, sustain
from edge_pipeline.harness.statistics import ratio_of, summarise


class Scripted:
    """Takes `times_ns[i]` for its i-th run, and notes in a shared diary that it was run."""

    block = 1

    def __init__(self, name, diary, times_ns):
        self.name, self.diary, self.times = name, diary, list(times_ns)

    def load(self):
        self.diary.append(f"load {self.name}")
        return Loaded(import_ns=7_000_000, init_ns=3_000_000)

    def run(self, count):
        self.diary.extend([self.name] * count)
        return [TimedRun(self.times.pop(0), preemptions=len(self.times) % 2) for _ in range(count)]


def _pair(plan):
    diary = []
    count = 1 + 10 * plan.warmup + plan.runs
    a = Scripted("a", diary, range(1_000_000, 1_000_000 * (count + 1), 1_000_000))
    b = Scripted("b", diary, [5_000_000] * count)
    return diary, [a, b]


def test_first_run_and_warm_up_are_not_samples():
    plan = Plan(runs=30, seconds=0, warmup=4)
    _, subjects = _pair(plan)
    first, second = measure(subjects, plan)
    assert first.import_ms == 7
    assert first.init_ms == 3
    assert first.first_inference_ms == 1
    assert (first.num_warmup_runs, first.warmup_stable) == (40, False)
    assert first.samples_ms == tuple(float(i) for i in range(42, 72))
    assert second.samples_ms == (5.0,) * 30
    assert first.preempted_runs == 15


def test_every_round_runs_each_once_and_none_is_always_first():
    plan = Plan(runs=30, seconds=0, warmup=1)
    diary, subjects = _pair(plan)
    measure(subjects, plan)
    assert diary[:4] == ["load a", "load b", "a", "b"]
    rounds = [diary[i : i + 2] for i in range(4, len(diary), 2)]
    assert len(rounds) == 40
    assert all(sorted(turn) == ["a", "b"] for turn in rounds)
    assert sum(turn[0] == "a" for turn in rounds) == 20


def test_no_subject_always_follows_the_same_other():
    diary = []
    subjects = [Scripted(name, diary, [1_000_000] * 33) for name in "abcd"]
    measure(subjects, Plan(runs=32, seconds=0, warmup=0))
    runs = diary[8:]
    for name in "abcd":
        before = [one for one, two in itertools.pairwise(runs) if two == name and one != name]
        assert max(before.count(other) for other in set(before)) <= 0.6 * len(before)


def test_steps_are_told():
    plan = Plan(runs=30, seconds=0, warmup=1)
    _, subjects = _pair(plan)
    steps = []
    measure(subjects, plan, steps.append)
    assert steps[:3] == ["loading", "first run", "warm-up 1"]
    assert steps[12] == "run 1 of 30"
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
    assert found.avg_ms == pytest.approx(statistics.fmean(samples))
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


class Steady:
    """Takes the times of a script, and then the last of them for ever."""

    def __init__(self, times_ms, block=1):
        self.times, self.block, self.done = list(times_ms), block, 0

    def load(self):
        return Loaded(0, 0)

    def run(self, count):
        found = []
        for _ in range(count):
            index = min(self.done, len(self.times) - 1)
            found.append(TimedRun(int(self.times[index] * 1e6)))
            self.done += 1
        return found


def test_the_warm_up_ends_when_all_are_stable():
    subjects = [Steady([5 + 10 / 1.2**k for k in range(20)] + [5]), Steady([1])]
    first, second = measure(subjects, Plan(runs=30, seconds=0, warmup=10))
    assert first.warmup_stable
    assert 15 < first.num_warmup_runs == second.num_warmup_runs < 30
    assert max(first.samples_ms) < 1.1 * min(first.samples_ms)


def test_without_warm_up_nothing_is_said_of_it():
    (found,) = measure([Steady([1])], Plan(runs=30, seconds=0, warmup=0))
    assert (found.num_warmup_runs, found.warmup_stable) == (0, None)


def test_the_timed_runs_last_at_least_as_long_as_requested():
    found = measure([Steady([10]), Steady([30])], Plan(runs=30, seconds=4, warmup=0))
    assert [len(timing.samples_ms) for timing in found] == [100, 100]


def test_all_subjects_run_blocks_of_equal_length():
    found = measure([Steady([1]), Steady([2], block=20)], Plan(runs=50, seconds=0, warmup=0))
    assert [len(timing.samples_ms) for timing in found] == [60, 60]


def test_sustained_runs_are_medians_of_blocks_of_time():
    subject = Steady([100] * 100 + [200] * 50)
    ends = []
    assert sustain(subject, 20, lambda: ends.append(subject.done)) == (10.0, [100.0, 200.0])
    assert ends == [100, 150]


@pytest.mark.parametrize(
    "fields", [{"seconds": -1}, {"seconds": float("nan")}, {"sustained_s": 1e9}]
)
def test_impossible_durations_are_refused(fields):
    with pytest.raises(InputError, match="duration"):
        Plan(**fields)


def test_a_ratio_is_that_of_the_medians_within_its_interval():
    rng = np.random.default_rng(3)
    drift = 1 + 0.5 * np.sin(np.linspace(0, 6, 400))
    first = 2 * drift * rng.lognormal(0, 0.02, 400)
    second = drift * rng.lognormal(0, 0.02, 400)
    found = ratio_of(first, second)
    assert found.low <= found.value <= found.high
    assert found.low < 2 < found.high
    assert found.high - found.low < 0.2
    assert found.differs


def test_the_interval_contains_the_true_ratio_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(60):
        found = ratio_of(rng.lognormal(0, 0.1, 60), rng.lognormal(0, 0.1, 60))
        hits += found.low <= 1 <= found.high
    assert 51 <= hits <= 60


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 2.0])])
def test_a_ratio_requires_equal_numbers_of_rounds(first, second):
    with pytest.raises(ValueError, match="same rounds"):
        ratio_of(first, second)
