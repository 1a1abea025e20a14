"""Encoders of bands: the files of any bands are those of the whole picture, pixel by pixel."""

import io
from itertools import pairwise

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_pipeline.isp.bands import Bands
from edge_pipeline.isp.colour_spaces import SRGB
from edge_pipeline.isp.encoders import write_jpeg, write_png, write_tiff
from edge_pipeline.isp.exif import picture_fields
from edge_pipeline.isp.icc import icc_profile
from edge_pipeline.raw.capture import CaptureExif


@st.composite
def pictures(draw):
    """Smooth pictures with some noise, and bands of any height."""
    height, width = draw(st.integers(1, 300)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    ramp = np.add.outer(np.arange(height), 3 * np.arange(width))[..., None] * [1, 2, 3]
    rgb = ((ramp + rng.integers(0, draw(st.sampled_from([1, 90])), ramp.shape)) % 256).astype(
        np.uint8
    )
    cuts = sorted({0, height, *draw(st.lists(st.integers(0, height), max_size=5))})
    return rgb, cuts


def bands_of(rgb, cuts):
    parts = (rgb[a:b] for a, b in pairwise(cuts))
    return Bands(rgb.shape[1], rgb.shape[0], 8 * rgb.dtype.itemsize, parts)


def fields_of(rgb):
    return picture_fields(CaptureExif(), width=rgb.shape[1], height=rgb.shape[0], software="x")


@given(pictures())
def test_bands_are_regrouped(picture):
    rgb, cuts = picture
    groups = list(bands_of(rgb, cuts).regrouped(16))
    assert {len(group) for group in groups[:-1]} <= {16}
    np.testing.assert_array_equal(np.concatenate(groups), rgb)
    np.testing.assert_array_equal(bands_of(rgb, cuts).whole(), rgb)


@pytest.mark.parametrize("quality", [60, 95])
@given(picture=pictures())
def test_a_jpeg_of_bands_has_the_pixels_of_a_whole_one(tmp_path_factory, quality, picture):
    rgb, cuts = picture
    path = tmp_path_factory.getbasetemp() / "a.jpg"
    write_jpeg(path, bands_of(rgb, cuts), fields_of(rgb), SRGB, quality)
    whole = io.BytesIO()
    subsampling = "4:4:4" if quality == 95 else "4:2:0"
    Image.fromarray(rgb).save(whole, format="JPEG", quality=quality, subsampling=subsampling)
    with Image.open(path) as made, Image.open(whole) as expected:
        assert made.info["icc_profile"] == icc_profile(SRGB)
        np.testing.assert_array_equal(np.asarray(made), np.asarray(expected))


@given(picture=pictures())
def test_a_png_has_the_pixels(tmp_path_factory, picture):
    rgb, cuts = picture
    path = tmp_path_factory.getbasetemp() / "a.png"
    write_png(path, bands_of(rgb, cuts), fields_of(rgb), SRGB)
    with Image.open(path) as made:
        made.load()  # checks the checksums
        assert made.info["icc_profile"] == icc_profile(SRGB)
        np.testing.assert_array_equal(np.asarray(made), rgb)


def test_a_png_of_a_smooth_picture_is_not_larger_than_that_of_pillow(tmp_path):
    rows, columns = np.mgrid[:400, :600]
    noise = np.random.default_rng(0).normal(0, 2, (400, 600))
    level = 128 + 90 * np.sin(rows / 90) * np.cos(columns / 70) + noise
    rgb = (level[..., None] * [1, 0.9, 0.7]).clip(0, 255).astype(np.uint8)
    write_png(tmp_path / "a.png", Bands.of(rgb), fields_of(rgb), SRGB)
    Image.fromarray(rgb).save(tmp_path / "b.png")
    sizes = [(tmp_path / name).stat().st_size for name in ("a.png", "b.png")]
    assert sizes[0] < 1.05 * sizes[1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@given(picture=pictures())
def test_a_tiff_has_the_pixels(tmp_path_factory, dtype, picture):
    rgb, cuts = picture
    rgb = rgb.astype(dtype) * dtype(np.iinfo(dtype).max // 255)
    path = tmp_path_factory.getbasetemp() / "a.tiff"
    write_tiff(path, bands_of(rgb, cuts), fields_of(rgb), SRGB)
    with tifffile.TiffFile(path) as made:
        page = made.pages[0]
        assert (page.predictor, page.compression.name) == (2, "ADOBE_DEFLATE")
        assert page.iccprofile == icc_profile(SRGB)
        np.testing.assert_array_equal(page.asarray(), rgb)
