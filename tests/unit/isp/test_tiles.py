"""Tiling is exact: put together, the cores of the tiles are the whole picture's run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_pipeline.errors import InputError
from edge_pipeline.isp.tiles import (
    Span,
    Tile,
    cut,
    fixed_spans,
    flexible_spans,
    single_span,
    tiles,
)

STRIDE = 4
HALO = 12


def neighbours(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """A sum over 3 x 3 with distinct weights and reflected edges: sees one pixel to each side."""
    padded = np.pad(x, 1, mode="reflect" if min(x.shape) > 1 else "edge")
    out = np.zeros_like(x)
    for i in range(3):
        for j in range(3):
            out += (1 + i * 3 + j) * padded[i : i + x.shape[0], j : j + x.shape[1]]
    return out % 1009


def network(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """A stand-in for a UNet of stride 4, in integers: pooling on a grid, coarse and fine paths."""
    height, width = x.shape
    fine = neighbours(x)
    pooled = fine.reshape(height // STRIDE, STRIDE, width // STRIDE, STRIDE).max(axis=(1, 3))
    coarse = np.repeat(np.repeat(neighbours(pooled), STRIDE, 0), STRIDE, 1)
    return neighbours(fine + coarse)  # sees 9 pixels to a side: under HALO


def extended(x: NDArray[np.int64], span_rows: Span, span_cols: Span) -> NDArray[np.int64]:
    """A window of a picture, each of whose pixels stands for one packed pixel, by reflection."""
    before = [max(0, -span.start) for span in (span_rows, span_cols)]
    after = [max(0, s.stop - n) for s, n in zip((span_rows, span_cols), x.shape, strict=True)]
    whole = np.pad(x, list(zip(before, after, strict=True)), mode="reflect")
    top, left = span_rows.start + before[0], span_cols.start + before[1]
    high, wide = span_rows.stop - span_rows.start, span_cols.stop - span_cols.start
    return whole[top : top + high, left : left + wide]


def run_tiled(x: NDArray[np.int64], rows: list[Span], cols: list[Span]) -> NDArray[np.int64]:
    out = np.full_like(x, -1)
    for tile in tiles(rows, cols):
        r, c = tile.rows, tile.cols
        part = network(extended(x, r, c))
        kept = part[
            r.core_start - r.start : r.core_stop - r.start,
            c.core_start - c.start : c.core_stop - c.start,
        ]
        place = out[r.core_start : r.core_stop, c.core_start : c.core_stop]
        assert (place == -1).all(), "two tiles wrote one pixel"
        place[:] = kept
    return out


def run_whole(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """The network over the picture and a margin around it, which is cut off again."""
    return network(np.pad(x, HALO, mode="reflect"))[HALO:-HALO, HALO:-HALO]


sizes = st.integers(1, 20).map(lambda n: n * STRIDE)


@given(height=sizes, width=sizes, largest=st.integers(20, 80), seed=st.integers(0, 99))
def test_flexible_tiles_equal_the_whole_picture(height, width, largest, seed):
    x = np.random.default_rng(seed).integers(0, 1000, (height, width))
    rows = flexible_spans(height, stride=STRIDE, halo=HALO, largest=largest)
    cols = flexible_spans(width, stride=STRIDE, halo=HALO, largest=largest)
    np.testing.assert_array_equal(run_tiled(x, rows, cols), run_whole(x))


@given(
    height=sizes,
    width=sizes,
    window=st.integers(7, 11).map(lambda n: n * STRIDE),
    seed=st.integers(0, 99),
)
def test_fixed_tiles_equal_the_whole_picture(height, width, window, seed):
    x = np.random.default_rng(seed).integers(0, 1000, (height, width))
    rows = fixed_spans(height, stride=STRIDE, halo=HALO, window=window)
    cols = fixed_spans(width, stride=STRIDE, halo=HALO, window=window)
    assert all(span.stop - span.start == window for span in rows + cols)
    np.testing.assert_array_equal(run_tiled(x, rows, cols), run_whole(x))


def test_a_halo_too_small_is_seen():
    """The planted fault: with no halo the property fails."""
    x = np.random.default_rng(0).integers(0, 1000, (40, 40))
    spans = flexible_spans(40, stride=STRIDE, halo=0, largest=20)
    assert (run_tiled(x, spans, spans) != run_whole(x)).any()


def test_a_window_off_the_grid_is_seen():
    """The planted fault: a window that begins off the pooling grid gives other values."""
    x = np.random.default_rng(0).integers(0, 1000, (40, 40))
    whole = [Span(-12, 52, 0, 40)]
    assert (run_tiled(x, whole, whole) == run_whole(x)).all()
    rows = [Span(-12, 28, 0, 14), Span(2, 42, 14, 28), Span(16, 52, 28, 40)]
    assert (run_tiled(x, rows, whole) != run_whole(x)).any()


@given(size=sizes, largest=st.integers(1, 90))
def test_flexible_windows_stay_within_the_largest_where_the_halo_allows(size, largest):
    spans = flexible_spans(size, stride=STRIDE, halo=HALO, largest=largest)
    bound = max(largest, 2 * HALO + STRIDE)
    assert all(span.stop - span.start <= bound for span in spans)


@given(size=sizes, least=st.integers(1, 30).map(lambda n: n * STRIDE))
def test_flexible_windows_are_as_long_as_the_network_needs(size, least):
    spans = flexible_spans(size, stride=STRIDE, halo=HALO, largest=40, least=least)
    for span in spans:
        assert span.stop - span.start >= least
        assert (span.stop - span.start) % STRIDE == span.start % STRIDE == 0
        assert span.core_start - span.start >= HALO
        assert span.stop - span.core_stop >= HALO


@given(size=sizes, more=st.integers(0, 20).map(lambda n: n * STRIDE), margin=st.integers(0, 4))
def test_a_single_window_has_what_margin_fits(size, more, margin):
    span = single_span(size, stride=STRIDE, margin=STRIDE * margin, window=size + more)
    assert (span.core_start, span.core_stop) == (0, size)
    assert span.stop - span.start == size + more
    assert span.start % STRIDE == 0
    assert -STRIDE * margin <= span.start <= 0
    assert span.stop >= size


def test_a_picture_shorter_than_a_window_without_a_core_has_a_single_window():
    (span,) = fixed_spans(24, stride=4, halo=16, window=32)
    assert span == Span(-4, 28, 0, 24)


@given(
    height=st.integers(1, 8).map(lambda n: 2 * n),
    width=st.integers(1, 8).map(lambda n: 2 * n),
    tops=st.tuples(st.integers(-20, 20), st.integers(1, 30)),
    lefts=st.tuples(st.integers(-20, 20), st.integers(1, 30)),
)
def test_a_window_beyond_the_mosaic_is_numpys_reflection_in_the_cfas_order(
    height, width, tops, lefts
):
    colours = np.tile(np.array([[0, 1], [2, 3]]), (height // 2, width // 2))
    mosaic = 4 * np.arange(height * width).reshape(height, width) + colours
    rows, cols = (Span(first, first + n, 0, 1) for first, n in (tops, lefts))
    got = cut(mosaic, Tile(rows, cols))
    pad = 100
    padded = np.pad(mosaic, pad, mode="reflect")
    expected = padded[pad + 2 * rows.start : pad + 2 * rows.stop, pad + 2 * cols.start :]
    np.testing.assert_array_equal(got, expected[:, : got.shape[1]])
    np.testing.assert_array_equal(got % 4, np.tile([[0, 1], [2, 3]], (tops[1], lefts[1])))


def test_a_window_inside_the_mosaic_is_no_copy():
    mosaic = np.zeros((20, 20))
    assert np.shares_memory(cut(mosaic, Tile(Span(0, 4, 0, 4), Span(2, 10, 3, 9))), mosaic)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: flexible_spans(41, stride=4, halo=8, largest=20), "length is 41"),
        (lambda: flexible_spans(40, stride=4, halo=7, largest=20), "halo is 7"),
        (lambda: fixed_spans(40, stride=4, halo=8, window=18), "length is 18"),
        (lambda: fixed_spans(40, stride=4, halo=8, window=16), "over 16 packed"),
    ],
)
def test_lengths_that_cannot_tile_are_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()
