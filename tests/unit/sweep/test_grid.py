"""A grid has exact decimal values within the network's range."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.sweep.grid import grid_of, parse_phis


def test_the_default_is_the_range_in_hundredths():
    assert grid_of((0.05, 0.6)) == [k / 100 for k in range(5, 61)]
    assert grid_of((0.0, 1.0)) == [k / 100 for k in range(1, 101)]
    assert grid_of((0.5, 0.5)) == [0.5]
    assert grid_of((0.0, 0.005)) == [0.005]


@given(st.integers(1, 500), st.integers(0, 400), st.integers(1, 200))
def test_a_range_has_each_step_and_no_more(low, width, step):
    high = min(low + width, 1000)
    text = f"{low / 1000}:{high / 1000}:{step / 1000}"
    found = grid_of((0.0, 1.0), text)
    assert [Fraction(str(phi)) for phi in found] == [
        Fraction(k, 1000) for k in range(low, high + 1, step)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1:0.5", "no range; write LOW:HIGH:STEP"),
        ("a:b:c", "no range"),
        ("0.5:0.1:0.1", "LOW must not exceed HIGH"),
        ("0.1:0.5:0", "STEP must be above 0"),
        ("0.1:nan:0.1", "no range"),
        ("0.05:0.5:0.1", "phi 0.05 is outside the network's range"),
        ("0.1:0.7:0.1", "phi 0.7 is outside the network's range"),
        ("0.1:0.5:0.00001", "40001 values"),
    ],
)
def test_wrong_ranges_are_refused(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        grid_of((0.1, 0.6), text)


def test_phi_of_0_is_refused():
    with pytest.raises(InputError, match="phi 0 is outside"):
        grid_of((0.0, 1.0), "0:1:0.1")


def test_lists_are_sorted_and_checked():
    assert parse_phis("0.3,0.1,0.30", (0.1, 0.6)) == [0.1, 0.3]
    for text, message in (("0.3,x", "'x', which is no number"), ("0.7", "phi 0.7"), ("", "''")):
        with pytest.raises(InputError, match=message):
            parse_phis(text, (0.1, 0.6))


def test_separate_factors_have_a_coarser_default_and_one_value_may_be_for_all():
    assert grid_of((0.1, 0.6), factors=3) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    found = parse_phis("0.3,0.2-0.5,0.30-0.3", (0.1, 0.6), 2)
    assert found == [(0.2, 0.5), (0.3, 0.3)]
