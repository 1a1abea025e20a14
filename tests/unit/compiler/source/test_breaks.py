"""The values at which sizes change, by rules that are guessed and by rules that are not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.source.breaks import breaks_of

RULES = {
    "floor with a tolerance": lambda x: math.floor(x + 1e-6),
    "floor": math.floor,
    "round": round,
    "ceil": math.ceil,
    # No rule that is tried.
    "floor of the square root": lambda x: math.floor(math.sqrt(x)),
    "floor with another tolerance": lambda x: math.floor(x + 0.3),
}


class Counted:
    """Sizes of levels, each by a rule from the level before, and how often they were computed."""

    def __init__(self, rule, bases, levels):
        self.rule, self.bases, self.levels = rule, bases, levels
        self.known = {}

    def __call__(self, value):
        if value not in self.known:
            row = []
            for base in self.bases:
                side = base
                for _ in range(self.levels):
                    side = max(1, self.rule(side * value))
                    row.append(side)
            self.known[value] = tuple(row)
        return self.known[value]


@pytest.mark.parametrize("name", RULES)
@given(
    bases=st.lists(st.integers(1, 60), min_size=1, max_size=2),
    levels=st.integers(1, 3),
    limits=st.tuples(st.integers(1, 400), st.integers(401, 1000)),
    others=st.lists(st.floats(0, 1), max_size=40),
)
def test_between_two_breaks_nothing_changes(name, bases, levels, limits, others):
    function = Counted(RULES[name], bases, levels)
    low, high = limits[0] / 1000, limits[1] / 1000
    breaks = [low, *breaks_of(function, low, high, bases)]
    assert breaks == sorted(set(breaks))
    decimals = [round(low + share * (high - low), 4) for share in others]
    for value in [low, high, *decimals, *(low + share * (high - low) for share in others)]:
        if low <= value <= high:
            start = max(one for one in breaks if one <= value)
            assert function(value) == function(start), value
    for one in breaks[1:]:
        assert function(one) != function(math.nextafter(one, 0))


def test_a_known_rule_needs_about_one_run_for_each_break():
    function = Counted(RULES["floor with a tolerance"], [192, 256], 4)
    breaks = breaks_of(function, 1e-3, 0.6, [192, 256])
    assert len(breaks) > 300
    assert len(function.known) < len(breaks) + 80


def test_where_nothing_changes_there_is_no_break():
    assert breaks_of(lambda _: (), 0.1, 0.9, [32]) == []
    assert breaks_of(lambda _: (7, 7), 0.1, 0.9, [32]) == []
