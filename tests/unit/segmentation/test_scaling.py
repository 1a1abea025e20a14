"""Pictures scaled to a program's size, and labels scaled back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_pipeline.segmentation import scaling
from edge_pipeline.segmentation.pictures import picture_of_array
from edge_pipeline.segmentation.scaling import enlarged, shrunk


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_scaling_is_near_that_of_pillow(height, width, to_height, to_width):
    rng = np.random.default_rng(height * width)
    codes = rng.random((height, width)).astype(np.float32)
    found = shrunk(picture_of_array(codes), (to_height, to_width), 1)[0]
    size = (to_width, to_height)
    expected = np.asarray(Image.fromarray(codes).resize(size, Image.Resampling.BILINEAR))
    assert found.shape == (to_height, to_width)
    assert np.abs(found - expected).max() < 0.15  # a reduction by whole factors precedes it
    assert abs(found.mean() - expected.mean()) < 0.05


def test_bands_of_rows_do_not_change_the_result(monkeypatch):
    codes = np.random.default_rng(0).integers(0, 256, (103, 71, 3), np.uint8)
    whole = shrunk(picture_of_array(codes), (8, 8), 3)
    monkeypatch.setattr(scaling, "_BAND_PIXELS", 1)
    np.testing.assert_array_equal(shrunk(picture_of_array(codes), (8, 8), 3), whole)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
def test_labels_are_scaled_by_the_nearest_pixel(height, width, to_height, to_width):
    labels = np.random.default_rng(0).integers(0, 255, (height, width), np.uint8)
    out = np.empty((to_height, to_width), np.uint8)
    enlarged(labels, out)
    rows = [(2 * y + 1) * height // (2 * to_height) for y in range(to_height)]
    columns = [(2 * x + 1) * width // (2 * to_width) for x in range(to_width)]
    different = out != labels[np.ix_(rows, columns)]
    assert not different.any()
