"""The tone curve: its ends, order, inverse and smoothness; colours keep their hue."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.raw.tone import ToneCurve, apply_tone, clip_keeping_hue

whites = st.floats(1, 16)
lights = st.floats(0, 1, width=32)


def hue(rgb):
    return colorsys.rgb_to_hsv(*(float(value) for value in rgb))[0]


@given(white=whites)
def test_black_and_white_stay_and_the_curve_rises_everywhere(white):
    curve = ToneCurve(white)
    light = np.linspace(0, white, 4001)
    got = curve(light)
    assert got[0] == 0
    assert got[-1] == pytest.approx(1, abs=1e-12)
    assert (np.diff(got) > 0).all()
    assert curve(np.array([-1.0, 2 * white])).tolist() == [0, pytest.approx(1)]


@given(white=whites, share=lights)
def test_the_inverse_returns_the_light(white, share):
    curve = ToneCurve(white)
    light = np.array([share * white])
    assert curve.inverse(curve(light)) == pytest.approx(light, abs=1e-9 * white)


@given(white=whites)
def test_the_slope_has_no_jump(white):
    """A curve of two straight lines, the planted fault, has one of a quarter of its slope."""

    def jumps(curve):
        slope = np.diff(curve(np.linspace(0, white, 2001)))
        return np.abs(np.diff(slope[20:])).max() / slope.max()

    assert jumps(ToneCurve(white)) < 0.05
    assert jumps(lambda x: np.where(x < 0.2, 1.5 * x, 0.3 + (x - 0.2) * 0.9)) > 0.2


@given(white=whites)
def test_middle_grey_does_not_depend_on_white(white):
    assert ToneCurve(white)(np.array(0.18)) == pytest.approx(0.24, abs=1e-12)


def test_midtones_are_lighter_and_shadows_darker_than_in_the_scene():
    curve = ToneCurve()
    assert curve(np.array(0.3)) > 0.35
    assert curve(np.array(0.02)) < 0.02


@given(rgb=st.tuples(lights, lights, lights), white=whites)
def test_hue_and_order_of_the_channels_stay(rgb, white):
    light = np.array(rgb, np.float32) * np.float32(white)
    got = apply_tone(light[:, None], ToneCurve(white))[:, 0]
    assert got.dtype == np.float32
    assert 0 <= got.min() <= got.max() <= 1
    assert got.min() == pytest.approx(ToneCurve(white)(light.min()), abs=1e-6)
    assert got.max() == pytest.approx(ToneCurve(white)(light.max()), abs=1e-6)
    if got.max() - got.min() > 0.02:
        turned = (hue(got) - hue(light) + 0.5) % 1 - 0.5
        assert abs(turned) < 1e-3


def test_the_curve_on_each_channel_would_turn_the_hue():
    """The planted fault for the test above: skin by more than 2 degrees."""
    skin = np.array([0.9, 0.45, 0.3], np.float32)
    assert abs(hue(ToneCurve()(skin)) - hue(skin)) * 360 > 2
    assert abs(hue(apply_tone(skin[:, None], ToneCurve())[:, 0]) - hue(skin)) * 360 < 0.01


@given(grey=lights)
def test_greys_stay_grey(grey):
    got = apply_tone(np.full((3, 1), grey, np.float32), ToneCurve())
    assert np.ptp(got) == 0


def test_colours_over_white_are_clipped_to_their_hue():
    sky = np.array([0.9, 1.15, 1.4], np.float32)[:, None]
    got = clip_keeping_hue(sky)[:, 0]
    assert got == pytest.approx([0.9, 0.95, 1.0], abs=1e-6)
    assert clip_keeping_hue(sky + 1)[:, 0].tolist() == [1, 1, 1]
    inside = np.array([0.2, 0.5, 1.0], np.float32)[:, None]
    assert (clip_keeping_hue(inside) == inside).all()


@pytest.mark.parametrize("white", [0.5, float("nan"), float("inf"), 1e5])
def test_whites_that_make_no_sense_are_refused(white):
    with pytest.raises(InputError, match="the tone curve's white is"):
        ToneCurve(white)
