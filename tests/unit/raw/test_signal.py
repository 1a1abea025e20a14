"""Signals: any part equals that of the whole mosaic, in all Bayer orders, also from a file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.raw import highlights, signal
from edge_pipeline.raw.capture import Capture, CaptureExif, normalise
from edge_pipeline.raw.cfa import PATTERNS, align
from edge_pipeline.raw.highlights import headroom, reconstruct_highlights
from edge_pipeline.raw.signal import Light, Signal

WB = (1.8, 1.0, 1.4)
FACTORS = (1.1, 0.5)  # so that reconstructed light is below 1


def capture_of(shape, pattern, seed=0):
    """A capture of smooth light, of which large areas and single pixels are saturated."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape) / 9.0
    light = (
        1500 + 1500 * np.sin(rows + rng.uniform(0, 6)) * np.cos(columns) + rng.normal(0, 400, shape)
    )
    mosaic = light.clip(0, 2600).round().astype(np.uint16)
    return Capture(
        mosaic, pattern, (60, 64, 62, 66), 2500.0, WB, None, None, 1, CaptureExif(), Path("a.dng")
    )


def signal_of(capture, *, keeps, multiple=2):
    light = Light.of(capture, WB, keeps_highlights=keeps)
    for factor in FACTORS:
        light = light.times(factor)
    return Signal(light, capture.pattern, multiple)


def whole(capture, *, keeps, multiple=2):
    """The signal as it was computed before parts could be: all of it at once."""
    mosaic = normalise(capture, WB, clip=not keeps)
    if keeps:
        reconstruct_highlights(mosaic, capture.pattern, WB)
    for factor in FACTORS:
        mosaic *= np.float32(factor)
    return align(np.minimum(mosaic, 1), capture.pattern, multiple)


@st.composite
def cases(draw):
    shape = draw(st.integers(2, 70)), draw(st.integers(2, 70))
    return capture_of(shape, draw(st.sampled_from(PATTERNS)), draw(st.integers(0, 9)))


@given(capture=cases(), keeps=st.booleans(), multiple=st.sampled_from([1, 8]), data=st.data())
def test_a_part_equals_that_of_the_whole(capture, keeps, multiple, data):
    expected = whole(capture, keeps=keeps, multiple=multiple)
    made = signal_of(capture, keeps=keeps, multiple=multiple)
    assert made.shape == expected.mosaic.shape
    assert (made.top, made.left) == (expected.top, expected.left)
    np.testing.assert_array_equal(made[:, :], expected.mosaic)
    starts = [data.draw(st.integers(0, n - 1)) for n in made.shape]
    part = tuple(
        slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(starts, made.shape, strict=True)
    )
    np.testing.assert_array_equal(made[part], expected.mosaic[part])
    indices = np.ix_(
        *(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=9)) for n in made.shape)
    )
    np.testing.assert_array_equal(made[indices], expected.mosaic[indices])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_bands_change_no_pixel(monkeypatch, pattern):
    """Only the order in which the differences are added changes, by less than float32 shows."""
    capture = capture_of((90, 50), pattern)
    expected = whole(capture, keeps=True).mosaic
    for rows in (2, 16, 64):
        monkeypatch.setattr(highlights, "_BAND_ROWS", rows)
        made = signal_of(capture, keeps=True)
        np.testing.assert_allclose(made[:, :], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("margin", "equal"), [(highlights.MARGIN, True), (2, False)])
def test_the_margin_is_large_enough_and_a_smaller_one_is_seen(monkeypatch, margin, equal):
    capture = capture_of((60, 60), "RGGB")
    expected = whole(capture, keeps=True).mosaic
    monkeypatch.setattr(signal, "MARGIN", margin)
    made = signal_of(capture, keeps=True)
    parts = [(slice(a, a + 10), slice(b, b + 10)) for a in range(0, 50, 6) for b in range(0, 50, 6)]
    assert all((made[part] == expected[part]).all() for part in parts) == equal


def test_a_signal_grows_as_an_array_does():
    capture = capture_of((30, 22), "GBRG")
    expected = whole(capture, keeps=False).mosaic
    rows, columns = expected.shape
    expected = np.pad(expected, ((0, 50 - rows), (0, 0)), mode="reflect")
    made = signal_of(capture, keeps=False).grown(50, columns - 4)
    np.testing.assert_array_equal(made[:, :], expected)


@given(st.integers(1, 7), st.floats(-2, 0))
def test_the_headroom_does_not_depend_on_bands(rows, exposure_ev):
    light = np.random.default_rng(rows).uniform(0, 2, (60, 70)).astype(np.float32)
    bands = (light[row : row + rows] for row in range(0, 60, rows))
    spared = np.sort(light.ravel())[-1 - int(light.size * 1e-3)]
    expected = min(float(spared), 1.5 * 2.0**-exposure_ev)
    assert headroom(bands, light.size, exposure_ev) == expected
