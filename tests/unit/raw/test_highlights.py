"""Saturated pixels: never magenta, white stays white, others unchanged, all Bayer orders."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_pipeline.raw.capture import normalise, read_headerless
from edge_pipeline.raw.cfa import PATTERNS, per_pixel
from edge_pipeline.raw.highlights import headroom, reconstruct_highlights
from edge_pipeline.raw.profile import load_profile
from tests.data_files import data_file

WB = (2.0, 1.0, 1.6)


def mosaic_of(rgb, pattern):
    """White-balanced mosaic of light [3, H, W], saturated as a sensor saturates."""
    signal = np.empty(rgb.shape[1:], np.float32)
    for place, name in enumerate(pattern):
        row, column = divmod(place, 2)
        channel = "RGB".index(name)
        signal[row::2, column::2] = np.minimum(rgb[channel, row::2, column::2], WB[channel])
    return signal


def channels_of(signal, pattern):
    """Means of the channels over a mosaic."""
    names = np.array(list(pattern)).reshape(2, 2)
    tiled = np.tile(names, (signal.shape[0] // 2 + 1, signal.shape[1] // 2 + 1))
    tiled = tiled[: signal.shape[0], : signal.shape[1]]
    return np.array([signal[tiled == name].mean() for name in "RGB"])


def flat(rgb, side=24):
    return np.broadcast_to(np.array(rgb, float)[:, None, None], (3, side, side))


def reconstructed(rgb, pattern="RGGB"):
    signal = mosaic_of(rgb, pattern)
    reconstruct_highlights(signal, pattern, WB)
    return signal


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("light", [1.2, 1.5, 1.9])
def test_a_white_surface_over_the_first_channels_white_stays_neutral(pattern, light):
    """Clipped by channel, green would be 17 % to 47 % too dark: magenta."""
    red, green, blue = channels_of(reconstructed(flat([light] * 3), pattern), pattern)
    assert [red, green, blue] == pytest.approx([light] * 3, rel=0.025)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_where_all_channels_are_saturated_the_light_is_neutral(pattern):
    assert (reconstructed(flat([9, 9, 9]), pattern) == 2).all()


@given(rgb=st.tuples(*[st.floats(0.02, 4)] * 3), pattern=st.sampled_from(PATTERNS))
def test_no_surface_becomes_magenta(rgb, pattern):
    """Saturated green is not below both others."""
    red, green, blue = channels_of(reconstructed(flat(rgb), pattern), pattern)
    if rgb[1] >= 1:
        assert green >= min(red, blue) - 1e-3


def test_the_sensor_without_reconstruction_is_magenta():
    """The planted fault for the test above."""
    red, green, blue = channels_of(mosaic_of(flat([1.8, 1.8, 1.8]), "RGGB"), "RGGB")
    assert green < min(red, blue) - 0.5


def gradient(colour, brightest):
    ramp = np.linspace(0.1, brightest, 64)
    return np.array(colour)[:, None, None] * np.broadcast_to(ramp[None, :], (48, 64))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("colour", [(0.7, 1.0, 1.3), (1.3, 1.0, 0.8), (1.0, 1.0, 1.0)])
def test_sky_and_skin_keep_their_colour_better_than_clipped(pattern, colour):
    """At 1.3 times green's white; the error is at most 60 % of that of clipping at white."""
    light = gradient(colour, 1.2)
    truth = mosaic_of_unsaturated(light, pattern)
    made = reconstructed(light, pattern)
    clipped = np.minimum(mosaic_of(light, pattern), 1)
    over = truth > 1
    assert np.abs(made - truth)[over].mean() < 0.6 * np.abs(clipped - truth)[over].mean()


def mosaic_of_unsaturated(rgb, pattern):
    """The mosaic of a sensor that does not saturate."""
    signal = np.empty(rgb.shape[1:], np.float32)
    for place, name in enumerate(pattern):
        row, column = divmod(place, 2)
        signal[row::2, column::2] = rgb["RGB".index(name), row::2, column::2]
    return signal


@given(
    light=arrays(np.float32, st.tuples(st.integers(2, 9), st.integers(2, 9)),
                 elements=st.floats(-0.125, 2.5, width=32)),
    pattern=st.sampled_from(PATTERNS),
)  # fmt: skip
def test_only_saturated_pixels_change_and_become_no_darker(light, pattern):
    limits = per_pixel((2.0, 1.0, 1.0, 1.6), pattern, light.shape)
    signal = np.minimum(light, limits)
    before = signal.copy()
    reconstruct_highlights(signal, pattern, WB)
    saturated = before >= np.float32(0.985) * limits
    np.testing.assert_array_equal(signal[~saturated], before[~saturated])
    assert (signal >= before - 1e-6).all()
    assert signal.max() <= max(2, before.max())


def test_values_above_the_white_level_count_as_saturated():
    signal = mosaic_of(flat([3, 3, 3]), "RGGB") * np.float32(1.2)
    reconstruct_highlights(signal, "RGGB", WB)
    assert (signal == 2).all()


def test_a_real_capture_keeps_its_colours_where_green_is_saturated():
    """A capture whose light is multiplied by 2.5: the error of its channels' ratios is halved."""
    path = data_file("captures/DSC_1339_768x512_rggb.raw")
    capture = read_headerless(path, load_profile("dsc_1339"))
    truth = 2.5 * normalise(capture, capture.wb, clip=False)
    red, green, blue = capture.wb
    limits = per_pixel((red, green, green, blue), capture.pattern, truth.shape)
    sensor = np.minimum(truth, limits)
    made = sensor.copy()
    reconstruct_highlights(made, capture.pattern, capture.wb)
    truth = np.minimum(truth, max(capture.wb))

    def error(signal):
        return np.abs(ratios(signal) - ratios(truth))[affected].mean()

    def ratios(signal):
        cells = [signal[row::2, column::2] for row, column in ((0, 0), (0, 1), (1, 1))]
        red, green, blue = (np.maximum(cell, 0.02) for cell in cells)
        return np.log(np.stack([red / green, blue / green]))

    some = [(sensor >= limits)[row::2, column::2] for row, column in ((0, 0), (0, 1), (1, 1))]
    affected = np.broadcast_to(np.any(some, axis=0) & ~np.all(some, axis=0), (2, *some[0].shape))
    assert affected.mean() > 0.01
    assert error(made) < 0.5 * error(np.minimum(sensor, 1))


def test_headroom_is_that_of_all_but_a_thousandth():
    signal = np.full((100, 100), 0.5, np.float32)
    assert headroom([signal], signal.size) == 1
    signal[0, :10] = 1.4
    assert headroom([signal], signal.size) == 1
    signal[0, 10:20] = 1.2
    assert headroom([signal], signal.size) == pytest.approx(1.2)
    signal[:] = 3
    assert headroom([signal], signal.size) == 1.5
    assert headroom([signal], signal.size, -2) == 3
