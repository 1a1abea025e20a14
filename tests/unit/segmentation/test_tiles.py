"""Tiles cover each pixel once, away from the inner edges of their windows."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.segmentation.tiles import reflected, spans, tiles

strides = st.sampled_from([1, 2, 3, 8])


@given(st.integers(1, 400), st.integers(1, 12), strides, st.integers(0, 20))
def test_spans_cover_each_pixel_once_with_the_margin(size, cells, stride, margin):
    window = cells * stride
    assume(window - 2 * margin >= stride or size <= window)
    made = spans(size, window, margin=margin, stride=stride)
    kept = [pixel for span in made for pixel in range(span.first, span.last)]
    assert kept == list(range(size))
    for span in made:
        assert span.stop - span.start == window
        assert span.start % stride == 0
        assert span.start <= span.first < span.last <= span.stop
        # The edges of the first and of the last window are edges of the picture.
        assert span is made[0] or span.first - span.start >= margin
        assert span is made[-1] or span.stop - span.last >= margin
    if size > window:
        assert made[0].start == 0
        assert 0 <= made[-1].stop - size < stride


@given(st.integers(1, 40), st.integers(0, 100), strides)
def test_a_small_picture_is_in_the_middle_of_its_window(size, more, stride):
    window = -(-(size + more) // stride) * stride
    (span,) = spans(size, window, margin=99, stride=stride)
    before, after = -span.start, span.stop - size
    assert (span.first, span.last) == (0, size)
    assert 0 <= after - before <= 2 * stride - 1


def test_windows_are_as_few_as_the_margin_permits_and_evenly_distributed():
    made = spans(1000, 256, margin=32, stride=1)
    assert len(made) == 1 + -(-(1000 - 256) // (256 - 64))
    steps = np.diff([span.start for span in made])
    assert steps.max() - steps.min() <= 1


def test_a_margin_without_room_is_named():
    with pytest.raises(InputError, match="overlap of 8 pixels leaves no room in tiles of 16"):
        spans(17, 16, margin=8, stride=2)
    assert len(spans(17, 16, margin=7, stride=2)) == 2


def test_tiles_follow_each_other_row_by_row():
    rows, columns = (spans(size, 8, margin=0) for size in (16, 24))
    corners = [(t.rows.first, t.columns.first) for t in tiles(rows, columns)]
    assert corners == [(top, left) for top in (0, 8) for left in (0, 8, 16)]


@given(st.integers(1, 9), st.integers(-40, 0), st.integers(1, 60))
def test_reflection_is_that_of_numpy(size, start, length):
    axis = np.arange(size)
    whole = np.pad(axis, (40, 80), mode="reflect")
    np.testing.assert_array_equal(
        axis[reflected(start, start + length, size)], whole[40 + start : 40 + start + length]
    )
