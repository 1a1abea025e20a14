"""Tiling is exact: put together, the cores of the tiles are the whole picture's run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_pipeline.errors import InputError
from edge_pipeline.isp.tiles import (
    Span,
    fixed_spans,
    flexible_spans,
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


def run_tiled(x: NDArray[np.int64], rows: list[Span], cols: list[Span]) -> NDArray[np.int64]:
    out = np.full_like(x, -1)
    for tile in tiles(rows, cols):
        r, c = tile.rows, tile.cols
        part = network(x[r.start : r.stop, c.start : c.stop])
        kept = part[
            r.core_start - r.start : r.core_stop - r.start,
            c.core_start - c.start : c.core_stop - c.start,
        ]
        place = out[r.core_start : r.core_stop, c.core_start : c.core_stop]
        assert (place == -1).all(), "two tiles wrote one pixel"
        place[:] = kept
    return out


sizes = st.integers(1, 20).map(lambda n: n * STRIDE)


@given(height=sizes, width=sizes, largest=st.integers(20, 80), seed=st.integers(0, 99))
def test_flexible_tiles_equal_the_whole_picture(height, width, largest, seed):
    x = np.random.default_rng(seed).integers(0, 1000, (height, width))
    rows = flexible_spans(height, stride=STRIDE, halo=HALO, largest=largest)
    cols = flexible_spans(width, stride=STRIDE, halo=HALO, largest=largest)
    np.testing.assert_array_equal(run_tiled(x, rows, cols), network(x))


@given(
    extra=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    window=st.integers(7, 11).map(lambda n: n * STRIDE),
    seed=st.integers(0, 99),
)
def test_fixed_tiles_equal_the_whole_picture(extra, window, seed):
    height, width = (window + STRIDE * n for n in extra)
    x = np.random.default_rng(seed).integers(0, 1000, (height, width))
    rows = fixed_spans(height, stride=STRIDE, halo=HALO, window=window)
    cols = fixed_spans(width, stride=STRIDE, halo=HALO, window=window)
    assert all(span.stop - span.start == window for span in rows + cols)
    np.testing.assert_array_equal(run_tiled(x, rows, cols), network(x))


def test_a_halo_too_small_is_seen():
    """The planted fault: with no halo the property fails."""
    x = np.random.default_rng(0).integers(0, 1000, (40, 40))
    spans = flexible_spans(40, stride=STRIDE, halo=0, largest=20)
    assert (run_tiled(x, spans, spans) != network(x)).any()


def test_a_window_off_the_grid_is_seen():
    """The planted fault: a window that begins off the pooling grid gives other values."""
    x = np.random.default_rng(0).integers(0, 1000, (40, 40))
    rows = [Span(0, 24, 0, 14), Span(2, 40 - 2, 14, 30), Span(16, 40, 30, 40)]
    whole = [Span(0, 40, 0, 40)]
    assert (run_tiled(x, rows, whole) != network(x)).any()


@given(size=sizes, largest=st.integers(1, 90))
def test_flexible_windows_stay_within_the_largest_where_the_halo_allows(size, largest):
    spans = flexible_spans(size, stride=STRIDE, halo=HALO, largest=largest)
    bound = max(largest, 2 * HALO + STRIDE)
    assert all(span.stop - span.start <= bound for span in spans)


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
