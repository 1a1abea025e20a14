"""Sampling between pixels: exact at pixels, for ramps and parabolas, and nearly so for curves."""

import numpy as np
import pytest

from edge_pipeline.raw.resample import sample

MARGIN = 6


def phases(plane, count):
    """A plane with a margin as planes of every `count`-th row and column."""
    return tuple(tuple(plane[i::count, j::count] for j in range(count)) for i in range(count))


def places(count, first, shape=(40, 50)):
    rows, columns = np.indices(shape, np.float32)
    return first + count * rows, first + count * columns


def field(function, count, shape=(40, 50)):
    """A function of rows and columns as planes; its origin is at the first position."""
    height, width = (count * (n + 2 * MARGIN) for n in shape)
    y, x = np.indices((height, width), np.float32) - count * MARGIN
    return phases(function(y, x).astype(np.float32), count)


@pytest.mark.parametrize(("count", "first"), [(1, 0), (2, 0), (2, 1)])
def test_pixels_are_returned_exactly(count, first):
    values = field(lambda y, x: np.sin(37 * y + 11 * x), count)
    still = np.zeros((40, 50), np.float32)
    inner = slice(MARGIN, -MARGIN)
    expected = values[first][first][inner, inner]
    assert np.array_equal(sample(values, first, still, still, MARGIN), expected)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(("count", "first"), [(1, 0), (2, 1)])
def test_ramps_and_parabolas_are_interpolated_exactly(power, count, first):
    def function(y, x):
        return (0.01 * y + 0.005 * x) ** power

    y, x = places(count, first)
    down, right = np.full_like(y, 0.3), np.full_like(x, -1.6)
    values = sample(field(function, count), first, down, right, MARGIN)
    assert values == pytest.approx(function(y + down, x + right), abs=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_displacements_that_change_are_followed_in_every_row(count):
    """Also in rows whose whole part differs from that of the middle row."""

    def function(y, x):
        return np.sin(y / 4) * np.cos(x / 5)

    y, x = places(count, 0)
    down, right = 0.02 * (y / count - 20), -0.015 * (x / count - 25) + 0.002 * y
    values = sample(field(function, count), 0, down, right, MARGIN)
    assert values == pytest.approx(function(y + down, x + right), abs=2e-3)


def test_larger_displacements_than_the_margin_are_shortened():
    values = field(lambda y, x: y, 1)
    far = np.full((40, 50), 99, np.float32)
    result = sample(values, 0, far, 0 * far, MARGIN)
    assert result == pytest.approx(places(1, 0)[0] + 3)
