"""Levels that the user gives for files with levels of their own."""

import numpy as np
import pytest

from edge_pipeline.errors import CaptureError, InputError
from edge_pipeline.raw.capture import read_capture
from edge_pipeline.raw.levels import Levels, parse_levels
from tests.data_files import CHART
from tests.fakes.dng import Dng, write_dng


def test_one_level_applies_to_all_channels():
    assert parse_levels("64", None) == Levels((64, 64, 64, 64), None)
    assert parse_levels("1,2,3,4", 900.0) == Levels((1, 2, 3, 4), 900.0)
    assert parse_levels(None, None).changed() == {}


@pytest.mark.parametrize(
    ("black", "white", "said"),
    [
        ("1,2", None, "'1,2'; give one number, or four as R,G,G,B"),
        ("x", None, "'x'"),
        ("", None, "''"),
        ("-1", None, "black level is -1; give 0 to 65535"),
        ("nan", None, "black level is nan"),
        (None, 70000.0, "white level is 70000; give 0 to 65535"),
        (None, float("inf"), "white level is inf"),
        (None, 0.0, "white level is 0; give more than the black level"),
        ("64,64,64,900", 900.0, "white level is 900; give more than the black level, 900"),
    ],
)
def test_levels_outside_their_range_are_one_sentence(black, white, said):
    with pytest.raises(InputError, match=said):
        parse_levels(black, white)


def test_they_replace_those_of_the_file():
    capture = read_capture(CHART, levels=Levels((2000, 2001, 2002, 2003), None))
    assert (capture.black, capture.white) == ((2000, 2001, 2002, 2003), 15000)
    capture = read_capture(CHART, levels=Levels(None, 12000))
    assert (capture.black, capture.white) == ((2056,) * 4, 12000)


def test_a_white_below_the_files_black_is_refused():
    with pytest.raises(CaptureError, match="black level 2056 and white level 1000; white must be"):
        read_capture(CHART, levels=Levels(None, 1000))


def test_the_assumed_grey_is_measured_with_the_new_levels(tmp_path):
    """A file without white balance: its mean minus black is grey."""
    mosaic = np.full((64, 64), 1000, np.uint16)
    mosaic[::2, ::2] = 600
    path = tmp_path / "a.dng"
    write_dng(path, mosaic, Dng(neutral=None, matrix=None))
    of_file = read_capture(path).wb
    changed = read_capture(path, levels=Levels((200, 200, 200, 200), None)).wb
    assert of_file[0] == pytest.approx((1000 - 64) / (600 - 64))
    assert changed[0] == pytest.approx((1000 - 200) / (600 - 200))
