"""Splits by a hash of the name: each name in one split, whatever the others are."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from edge_pipeline.data.splits import SPLITS, Shares, split_of

NAMES = st.text(max_size=30)
PARTS = st.tuples(*[st.integers(0, 20)] * 3).filter(any)


@given(NAMES, PARTS)
def test_a_name_has_one_split_and_none_without_a_share(name, parts):
    shares = tuple(part / sum(parts) for part in parts)
    split = split_of(name, shares)
    assert split == split_of(name, shares)
    assert shares[SPLITS.index(split)] > 0


@given(NAMES, st.integers(1, 99), st.integers(0, 99))
def test_more_training_never_takes_a_name_from_training(name, percent, more):
    first = percent / 100
    larger = min(1.0, first + more / 100)
    if split_of(name, (first, 1 - first, 0)) == "train":
        assert split_of(name, (larger, 1 - larger, 0)) == "train"


def test_the_sizes_approach_the_shares():
    counts = Counter(split_of(f"picture_{index:05}", (0.64, 0.16, 0.2)) for index in range(20000))
    assert counts["train"] == pytest.approx(12800, abs=250)
    assert counts["val"] == pytest.approx(3200, abs=200)
    assert counts["test"] == pytest.approx(4000, abs=200)


def test_another_process_finds_the_same_splits():
    names = [f"n{index}" for index in range(40)]
    code = (
        "from edge_pipeline.data.splits import split_of;"
        f"print(*[split_of(name, (0.5, 0.25, 0.25)) for name in {names}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [split_of(name, (0.5, 0.25, 0.25)) for name in names]


# The published SHA-256 of these texts begin with e3 (0.89), ca (0.79), 3e (0.24) and 2c (0.17).
@pytest.mark.parametrize(
    ("name", "split"), [("", "test"), ("a", "val"), ("b", "train"), ("hello", "train")]
)
def test_the_splits_of_all_releases_are_the_same(name, split):
    assert split_of(name, (0.7, 0.15, 0.15)) == split


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.2, -0.2, 0), (0, 0, 0)])
def test_shares_that_do_not_sum_to_one_are_refused(shares):
    with pytest.raises(ValidationError, match="give three numbers from 0 to 1"):
        TypeAdapter(Shares).validate_python(shares)
