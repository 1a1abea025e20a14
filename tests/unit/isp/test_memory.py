"""The limit on memory: smaller tiles for less memory, and one sentence if nothing fits."""

import pytest

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.isp.memory import LARGEST_WINDOW, MOST_TILES, MemoryLimit

OPTIONS = {"at_once": 2, "halo": 32, "bits": 8, "resamples": False}


def test_less_memory_makes_smaller_tiles():
    sizes = [
        MemoryLimit(megabytes).largest_window((6000, 4000), **OPTIONS)
        for megabytes in (200, 240, 300, 5000)
    ]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == LARGEST_WINDOW


def test_a_limit_that_nothing_fits_is_refused_unless_it_is_the_default():
    with pytest.raises(JobError, match=r"60000 x 4000 pixels requires about \d+ MB.*--memory"):
        MemoryLimit(200).largest_window((60000, 4000), **OPTIONS)
    assert MemoryLimit().largest_window((600000, 4000), **OPTIONS) < LARGEST_WINDOW


def test_little_memory_computes_fewer_tiles_at_a_time():
    assert MemoryLimit().at_once(1) == 1
    assert MemoryLimit().at_once(64) == MOST_TILES
    assert MemoryLimit(200).at_once(64) == 1
    assert MemoryLimit(5000).at_once(64) == MOST_TILES


def test_captures_at_once_share_the_limit_but_not_the_program():
    one = MemoryLimit(600)
    assert one.shared(1).megabytes == pytest.approx(600)
    assert 300 < one.shared(2).megabytes < 600
    assert MemoryLimit().shared(3) == MemoryLimit()


@pytest.mark.parametrize("megabytes", [0, -1, float("nan"), float("inf")])
def test_limits_are_positive(megabytes):
    with pytest.raises(InputError, match="--memory"):
        MemoryLimit(megabytes)
