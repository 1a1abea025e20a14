"""Strategies propose values of the grid; TPE solves equation 3 with few of them."""

import math
import re

import pytest

from edge_pipeline.errors import InputError, MissingExtraError
from edge_pipeline.sweep import strategies
from edge_pipeline.sweep.strategies import Goal, open_strategy
from tests.fakes.sweeps import make_point

GRID = [k / 1000 for k in range(1, 1001)]
GOAL = Goal("macs", "dice", 0.8)


def _point(phi):
    """Dice rises with phi up to 0.5 and falls then, as in Figure 3 of [AmortizedScaling]."""
    return make_point(phi, 0.9 - (phi - 0.5) ** 2, round(1e6 * (1 + phi**4)))


def _proposals(strategy):
    found = []
    while (phi := strategy.propose()) is not None:
        found.append(phi)
        strategy.observe(_point(phi))
    return found


def test_the_grid_is_proposed_as_it_is():
    assert _proposals(open_strategy("grid", GRID[:5])) == GRID[:5]


def test_random_values_are_of_the_grid_differ_and_follow_the_seed():
    one, same, other = (
        _proposals(open_strategy("random", GRID, trials=20, seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same != other
    assert len(set(one)) == 20
    assert set(one) <= set(GRID)
    assert sorted(_proposals(open_strategy("random", GRID[:3], trials=9))) == GRID[:3]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("grid", {"trials": 3}, "grid has 3 trials; leave --trials out"),
        ("random", {}, "random has no trials; give --trials N"),
        ("random", {"trials": 3, "goal": GOAL}, "random has a lowest score; leave --min-dice"),
        ("tpe", {"trials": 3}, "tpe has no lowest score; give --min-dice"),
        ("tpe", {"trials": 3, "goal": Goal("latency", "dice", 0.8)}, "cannot minimise the latency"),
    ],
)
def test_options_of_another_strategy_are_refused(name, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        open_strategy(name, GRID, **options)


def test_without_optuna_the_extra_is_named(monkeypatch):
    def absent(module, extra, purpose):
        raise MissingExtraError(f"{purpose} requires {module}: {extra}")

    monkeypatch.setattr(strategies, "require", absent)
    with pytest.raises(MissingExtraError, match="the strategy tpe requires optuna: train"):
        open_strategy("tpe", GRID, trials=3, goal=GOAL)


class TestTpe:
    @pytest.fixture(autouse=True)
    def _optuna(self):
        pytest.importorskip("optuna", reason="the strategy tpe needs Optuna (extra train)")

    def test_it_finds_nearly_the_least_cost_that_satisfies_the_limit(self):
        # Dice is 0.8 at 0.5 - sqrt(0.1).
        best = 0.5 - math.sqrt(0.1)
        for seed in range(3):
            proposed = _proposals(open_strategy("tpe", GRID, trials=40, seed=seed, goal=GOAL))
            assert len(proposed) == 40
            satisfying = [phi for phi in proposed if _point(phi).scores.dice >= 0.8]
            assert best <= min(satisfying) < best + 0.03

    def test_it_prefers_values_near_the_solution(self):
        goal = Goal("macs", "dice", 0.89)  # solved by 0.4
        late = [
            phi
            for seed in range(4)
            for phi in _proposals(open_strategy("tpe", GRID, trials=40, seed=seed, goal=goal))[20:]
        ]
        # 30 % of the grid; uniform proposals would have 24 of 80 values there.
        assert sum(0.3 <= phi <= 0.6 for phi in late) >= 40

    def test_proposals_follow_the_seed(self):
        one, same, other = (
            _proposals(open_strategy("tpe", GRID, trials=15, seed=seed, goal=GOAL))
            for seed in (5, 5, 6)
        )
        assert one == same != other


def _product(phi):
    """The figures of separate factors, of which the first one matters most."""
    first, *others = phi
    dice = 0.9 - (first - 0.5) ** 2 - 0.1 * sum((x - 0.5) ** 2 for x in others)
    return make_point(phi, dice, round(1e6 * (1 + first**2 + 0.1 * sum(others))))


def test_the_grid_of_separate_factors_has_all_combinations():
    found = _all(open_strategy("grid", [0.1, 0.5], factors=3))
    assert found == [(a, b, c) for a in (0.1, 0.5) for b in (0.1, 0.5) for c in (0.1, 0.5)]


def _all(strategy):
    found = []
    while (phi := strategy.propose()) is not None:
        found.append(phi)
        strategy.observe(_product(phi))
    return found


@pytest.mark.parametrize("values", [4, 60])  # listed, or too many to be listed
def test_random_combinations_differ_and_follow_the_seed(values):
    axis = [k / values for k in range(1, values + 1)]
    one, same, other = (
        _all(open_strategy("random", axis, factors=3, trials=40, seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same != other
    assert len(set(one)) == 40
    assert all(len(phi) == 3 and set(phi) <= set(axis) for phi in one)


def test_tpe_finds_a_cheap_combination_that_reaches_the_minimum():
    pytest.importorskip("optuna", reason="the strategy tpe needs Optuna (extra train)")
    axis = [k / 20 for k in range(1, 21)]
    goal = Goal("macs", "dice", 0.85)
    made = [_product(p) for p in _all(open_strategy("tpe", axis, factors=2, trials=60, goal=goal))]
    fitting = [point.macs for point in made if point.scores.dice >= 0.85]
    every = [_product((a, b)) for a in axis for b in axis]
    macs = sorted(point.macs for point in every if point.scores.dice >= 0.85)
    assert min(fitting) <= macs[len(macs) // 10]
