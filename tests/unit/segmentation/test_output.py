"""The files: labels that survive, colours that show."""

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.errors import InputError
from edge_pipeline.segmentation import output
from edge_pipeline.segmentation.names import LabelNames
from edge_pipeline.segmentation.output import (
    check_opacity,
    colours_of,
    overlay,
    write_mask,
    write_overlay,
)
from edge_pipeline.segmentation.pictures import picture_of_array

TWO = LabelNames(("background", "nucleus"), background=True)
MANY = LabelNames(tuple(f"label {number}" for number in range(255)), background=False)


def disc(side: int = 64) -> np.ndarray:
    rows, columns = np.ogrid[:side, :side]
    return ((rows - side / 2) ** 2 + (columns - side / 2) ** 2 < (side / 4) ** 2).astype(np.uint8)


def test_the_values_of_a_mask_are_the_labels(tmp_path):
    labels = np.random.default_rng(0).integers(0, 255, (33, 65), np.uint8)
    write_mask(tmp_path / "a.png", labels, MANY)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), labels)
        shown = np.asarray(image.convert("RGB"))
        assert image.info["Labels"].splitlines()[254] == "254 label 254"
    np.testing.assert_array_equal(shown, colours_of(MANY)[labels])


def test_colours_differ_and_the_background_is_black():
    for names in (TWO, MANY):
        table = colours_of(names).astype(int)
        distances = np.abs(table[:, None] - table[None]).sum(-1) + 999 * np.eye(256, dtype=int)
        assert distances[:16, :16].min() > 40
    assert colours_of(TWO)[0].tolist() == [0, 0, 0]
    assert colours_of(MANY)[0].max() > 150


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_outline_shows_on_dark_and_on_bright_pictures(level):
    labels = disc()
    picture = picture_of_array(np.full((64, 64), level, np.uint8))
    drawn = np.asarray(overlay(picture, labels, TWO, 0.3)[0]).astype(int)
    colour = colours_of(TWO)[1].astype(int)
    np.testing.assert_array_equal(drawn[32, 32], np.rint(level + 0.3 * (colour - level)))
    assert (drawn[0, 0] == level).all()
    row = drawn[32]
    edge = np.flatnonzero(labels[32])[0]
    assert (row[edge] == colour).all()
    assert np.abs(row[edge] - row[edge - 2]).max() > 100  # against the picture beside it
    assert (row[edge - 1] == round(0.35 * level)).all()


def test_bands_join_without_a_seam(monkeypatch):
    labels = disc(100)
    picture = picture_of_array(np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))
    whole = np.asarray(overlay(picture, labels, TWO, 0.5)[0])
    monkeypatch.setattr(output, "_BAND_PIXELS", 700)
    np.testing.assert_array_equal(np.asarray(overlay(picture, labels, TWO, 0.5)[0]), whole)


def test_lines_are_two_pixels_wide_in_large_pictures():
    labels = np.zeros((4, 900), np.uint8)
    labels[:, 450:] = 1
    picture = picture_of_array(np.zeros((4, 900), np.uint8))
    drawn = np.asarray(overlay(picture, labels, TWO, 0)[0])
    assert np.flatnonzero(drawn[2].any(-1)).tolist() == [450, 451]


@pytest.mark.parametrize("size", [(50, 81), (49, 95)])
def test_overlays_of_very_large_pictures_are_smaller(tmp_path, monkeypatch, size):
    monkeypatch.setattr(output, "_MOST_PIXELS", 1000)
    labels = np.zeros(size, np.uint8)
    labels[:24] = 1
    picture = picture_of_array(np.full(size, 200, np.uint8))
    notes = write_overlay(tmp_path / "a.jpg", picture, labels, TWO, 0.3)
    assert notes == ("its overlay has 1/3 of its width and height",)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.size == (-(-size[1] // 3), -(-size[0] // 3))
        assert np.abs(np.asarray(image)[-1].astype(int) - 200).max() < 8


def test_a_picture_with_a_side_too_long_for_jpeg_has_an_overlay(tmp_path):
    labels = np.zeros((2, 70_000), np.uint8)
    picture = picture_of_array(labels)
    assert write_overlay(tmp_path / "a.jpg", picture, labels, TWO, 0.3)
    assert Image.open(tmp_path / "a.jpg").size == (35_000, 1)


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_the_opacity_is_a_share(opacity):
    with pytest.raises(InputError, match="give 0 to 1"):
        check_opacity(opacity)
