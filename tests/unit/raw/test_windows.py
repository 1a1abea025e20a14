import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.raw.cfa import pack
from edge_pipeline.raw.windows import spread_starts, view, windows

STRIDE = 16


def some_mosaic(height, width):
    """No two values are alike."""
    return np.arange(height * width, dtype=np.float32).reshape(height, width)


def test_windows_lie_all_over_a_capture():
    mosaic = some_mosaic(992, 1376)
    spread = list(windows(mosaic, (128, 128), STRIDE))
    assert len(spread) == 16
    assert all(window.shape == (1, 4, 128, 128) for window in spread)
    np.testing.assert_array_equal(spread[0], pack(mosaic[:256, :256])[None])
    np.testing.assert_array_equal(spread[-1], pack(mosaic[-256:, -256:])[None])


@given(height=st.integers(1, 90), width=st.integers(1, 90), seen=st.integers(1, 90))
def test_a_view_is_the_capture_if_that_fits_and_else_sixteen_windows_of_it(height, width, seen):
    mosaic = some_mosaic(2 * height, 2 * width)
    size = (min(height, seen), min(width, seen))
    got = view(mosaic, size)
    assert got.shape == (1, 4, *size)
    assert got.flags.c_contiguous
    assert 0 not in got.strides
    packed = pack(mosaic)
    if size == (height, width):
        np.testing.assert_array_equal(got[0], packed)
    np.testing.assert_array_equal(got[0, :, 0, 0], packed[:, 0, 0])
    if seen >= 4:
        np.testing.assert_array_equal(got[0, :, -1, -1], packed[:, -1, -1])
    # No pixel is seen twice.
    assert len(np.unique(got)) == got.size


def test_a_view_of_a_large_capture_holds_evenly_spread_windows():
    packed = pack(mosaic := some_mosaic(400, 600))
    got = view(mosaic, (64, 80))[0]
    tops, lefts = (0, 45, 90, 136), (0, 73, 146, 220)
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            window = got[:, 16 * i : 16 * (i + 1), 20 * j : 20 * (j + 1)]
            expected = packed[:, top + 16 * i :, left + 20 * j :][:, :16, :20]
            np.testing.assert_array_equal(window, expected)


@given(
    size=st.integers(1, 4000),
    window=st.integers(1, 4000),
    most=st.integers(1, 6),
)
def test_spread_windows_lie_inside_on_the_grid_and_reach_both_ends(size, window, most):
    window = min(size, window)
    starts = spread_starts(size, window, most=most, stride=STRIDE)
    assert 1 <= len(starts) <= most
    assert all(start % STRIDE == 0 and 0 <= start <= size - window for start in starts)
    if len(starts) > 1:
        assert starts[0] == 0
        assert size - window - starts[-1] < STRIDE
