"""Lateral colour fringes: known ones are measured and removed; a capture without is unchanged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_pipeline.data.procedural import KINDS
from edge_pipeline.data.raw_synthesis import CAMERAS_TO_SRGB, Shot, clean_camera_rgb, mosaic_of
from edge_pipeline.raw import realign
from edge_pipeline.raw.capture import Capture, CaptureExif
from edge_pipeline.raw.cfa import PATTERNS
from edge_pipeline.raw.displacement import Displacement
from edge_pipeline.raw.noise import NOISE_LEVELS
from edge_pipeline.raw.realign import measure_fringes, realigned
from edge_pipeline.raw.resample import sample

BLACK, WHITE = 1000, 16000
GAINS = (2.0, 1.0, 1.5)
SIDE = 640
NONE = Displacement()
RED, BLUE = Displacement(linear=1.5), Displacement(linear=-1.2)


@pytest.fixture(scope="module")
def light():
    """Linear camera RGB of a picture of dead leaves, [3, 640, 640]."""
    picture = KINDS["dead_leaves"](SIDE, np.random.default_rng(4))
    return clean_camera_rgb(picture, shot("none"))


def shot(level):
    return Shot(CAMERAS_TO_SRGB[0], GAINS, 1.0, NOISE_LEVELS[level], WHITE - BLACK)


def capture(light, red=NONE, blue=NONE, level="low", pattern="RGGB"):
    """A capture by a lens that displaces red and blue; its mosaic begins on any order."""
    seen = light.copy()
    rows, columns = np.indices(light.shape[1:], np.float32)
    for colour, moved in ((0, red), (2, blue)):
        down, right = moved.at(rows, columns, light.shape[1:])
        margin = np.pad(light[colour], 8, mode="edge")
        seen[colour] = np.clip(sample(((margin,),), 0, down, right, 8), 0, 1)
    signal = mosaic_of(seen, shot(level), np.random.default_rng(1))
    mosaic = np.clip(np.rint(signal * (WHITE - BLACK) + BLACK), 0, WHITE).astype(np.uint16)
    top, left = divmod(pattern.index("R"), 2)
    black, exif = (float(BLACK),) * 4, CaptureExif()
    mosaic = mosaic[top:, left:]
    return Capture(mosaic, pattern, black, WHITE, GAINS, None, None, 1, exif, Path("a.raw"))


def distance(first, second, row, column):
    """Root mean square difference of a colour's pixels, without the border."""
    a, b = (c.mosaic[row::2, column::2].astype(float)[8:-8, 8:-8] for c in (first, second))
    return float(np.sqrt(np.mean((a - b) ** 2)))


def far_corner(measured):
    down, _ = measured.displacement.at(np.float32(0), np.float32(0), (SIDE, SIDE))
    return -float(down) * 2**0.5  # the corner is up: a positive magnification displaces by this


@pytest.mark.parametrize("pattern", PATTERNS)
def test_displacements_are_measured_and_removed_in_every_order(light, pattern):
    fringed, perfect = (capture(light, *d, pattern=pattern) for d in ((RED, BLUE), ()))
    fringes = measure_fringes(fringed)
    assert fringes.red.certain
    assert fringes.blue.certain
    assert far_corner(fringes.red) == pytest.approx(1.5, abs=0.3)
    assert far_corner(fringes.blue) == pytest.approx(-1.2, abs=0.3)
    better = realigned(fringed, fringes)
    top, left = divmod(pattern.index("R"), 2)
    for row, column in ((top, left), (1 - top, 1 - left)):
        assert distance(better, perfect, row, column) < 0.7 * distance(
            fringed, perfect, row, column
        )
    for row, column in ((top, 1 - left), (1 - top, left)):  # green
        assert np.array_equal(better.mosaic[row::2, column::2], fringed.mosaic[row::2, column::2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["none", "low", "medium", "high"])
def test_a_capture_without_fringes_is_returned_as_it_is(kind, level):
    picture = KINDS[kind](640, np.random.default_rng(3))
    clean = capture(clean_camera_rgb(picture, shot(level)), level=level)
    assert realigned(clean, measure_fringes(clean)) is clean


def test_a_constant_shift_is_measured(light):
    fringes = measure_fringes(capture(light, Displacement(down=0.8, right=-0.6)))
    assert fringes.red.certain
    assert not fringes.blue.certain
    assert fringes.red.displacement[:2] == pytest.approx((0.8, -0.6), abs=0.15)


def test_bands_do_not_change_the_result(light, monkeypatch):
    fringed = capture(light, RED, BLUE)
    fringes = measure_fringes(fringed)
    whole = realigned(fringed, fringes)
    monkeypatch.setattr(realign, "_BAND_ROWS", 40)
    assert np.array_equal(realigned(fringed, fringes).mosaic, whole.mosaic)


def test_no_displacement_keeps_every_value(light):
    """Differences from green are interpolated exactly where nothing moves."""
    clean = capture(light)
    fringes = measure_fringes(clean)
    still = replace(fringes.red, displacement=Displacement(), certain=True)
    assert np.array_equal(realigned(clean, realign.Fringes(still, still)).mosaic, clean.mosaic)


@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (40, 300), (120, 121)])
def test_small_and_flat_captures_are_not_certain(shape, light):
    small = replace(capture(light), mosaic=np.full(shape, 5000, np.uint16))
    fringes = measure_fringes(small)
    assert not fringes.red.certain
    assert not fringes.blue.certain
    assert realigned(small, fringes) is small


def test_saturated_values_stay_in_the_range_of_the_sensor(light):
    bright = capture(np.clip(light * 4, 0, 2), RED, BLUE)
    result = realigned(bright, measure_fringes(bright)).mosaic
    assert result.max() <= WHITE
