"""Sampling between pixels: exact at pixels, for ramps and parabolas; edges are repeated."""

import numpy as np
import pytest

from edge_pipeline.raw.resample import sample


def test_pixels_are_returned_exactly():
    plane = np.random.default_rng(0).random((9, 13), np.float32)
    rows, columns = np.indices(plane.shape)
    still = np.zeros(plane.shape, np.float32)
    assert np.array_equal(sample(plane, rows, columns, still, still), plane)


@pytest.mark.parametrize("power", [1, 2])
def test_ramps_and_parabolas_are_interpolated_exactly(power):
    rows, columns = np.indices((20, 30))
    plane = ((0.1 * rows + 0.05 * columns) ** power).astype(np.float32)
    rows, columns = rows[3:-3, 3:-3], columns[3:-3, 3:-3]
    down, right = np.full(rows.shape, 0.3, np.float32), np.full(rows.shape, -1.6, np.float32)
    expected = (0.1 * (rows + down) + 0.05 * (columns + right)) ** power
    assert sample(plane, rows, columns, down, right) == pytest.approx(expected, abs=1e-5)


def test_outside_the_edge_is_repeated():
    plane = np.arange(12, dtype=np.float32).reshape(3, 4)
    far = np.array([-9.0, 99.0], np.float32)
    at = np.zeros(2, np.intp)
    assert sample(plane, at, at, far, far).tolist() == [0, 11]
