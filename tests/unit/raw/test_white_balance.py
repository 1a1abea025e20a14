"""White balance: kelvin to multipliers and back, automatic balance, refusals."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.raw.capture import Capture, CaptureExif, read_capture
from edge_pipeline.raw.cfa import PATTERNS
from edge_pipeline.raw.colour import SRGB_TO_XYZ, d65_gains, xyz_to_camera_from_srgb
from edge_pipeline.raw.illuminant import Light
from edge_pipeline.raw.white_balance import balance, gains_of_light, light_of_gains
from tests.data_files import CHART

NIKON = np.array([[0.9020, -0.2890, -0.0715], [-0.4535, 1.2436, 0.2348], [-0.0934, 0.1919, 0.7086]])


def capture_of(rgb=None, pattern="RGGB", **fields):
    """A capture of camera RGB, [3, H, W], 0..1, or of the same colour everywhere."""
    rgb = np.asarray((0.25, 0.5, 0.4) if rgb is None else rgb, float)
    if rgb.ndim == 1:
        rgb = np.broadcast_to(rgb[:, None, None], (3, 32, 48))
    mosaic = np.empty(rgb.shape[1:])
    for place, name in enumerate(pattern):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = rgb["RGB".index(name), row::2, column::2]
    usual = {
        "mosaic": np.round(64 + mosaic * 4000).astype(np.uint16),
        "pattern": pattern,
        "black": (64, 64, 64, 64),
        "white": 4064,
        "wb": (2.0, 1.0, 1.5),
        "daylight_wb": None,
        "xyz_to_camera": NIKON,
        "orientation": 1,
        "exif": CaptureExif(),
        "source": Path("a.dng"),
        "d65_wb": d65_gains(NIKON),
    }
    return Capture(**(usual | fields))


def test_names_and_multipliers():
    capture = capture_of(daylight_wb=(1.8, 1.0, 1.4))
    assert balance("as-shot", capture).gains == (2.0, 1.0, 1.5)
    assert balance("As Shot", capture).gains == (2.0, 1.0, 1.5)
    assert balance("daylight", capture).gains == (1.8, 1.0, 1.4)
    assert balance("4,2,3", capture).gains == (2.0, 1.0, 1.5)


@given(kelvin=st.floats(2500, 20000), tint=st.floats(-30, 30))
def test_kelvin_to_multipliers_and_back(kelvin, tint):
    capture = capture_of()
    chosen = balance(f"{kelvin}K", capture, tint)
    assert chosen.light == Light(kelvin, tint)
    found = light_of_gains(capture, chosen.gains)
    assert found is not None
    assert found.kelvin == pytest.approx(kelvin, rel=1e-4)
    assert found.tint == pytest.approx(tint, abs=0.05)


@pytest.mark.parametrize("text", ["6504K", " 6504 k ", "6504.0K"])
def test_d65_in_kelvin_is_the_multipliers_of_d65(text):
    got = balance(text, capture_of()).gains
    assert got == pytest.approx(d65_gains(NIKON), rel=2e-3)


def test_higher_kelvin_and_higher_tint_make_a_picture_redder_and_less_green():
    capture = capture_of()
    cool, hot = (balance(f"{kelvin}K", capture).gains for kelvin in (3000, 8000))
    assert cool[0] < hot[0]
    assert cool[2] > hot[2]
    magenta = balance("5500K", capture, 40).gains
    plain = balance("5500K", capture).gains
    assert magenta[0] > plain[0]
    assert magenta[2] > plain[2]


def test_a_matrix_without_its_scale_gets_it_from_the_balance_for_d65():
    """As for cameras whose file has a matrix from camera to sRGB."""
    true = capture_of()
    to_srgb = np.linalg.inv((NIKON @ SRGB_TO_XYZ) / (NIKON @ SRGB_TO_XYZ).sum(1, keepdims=True))
    scaled = capture_of(xyz_to_camera=xyz_to_camera_from_srgb(to_srgb))
    assert balance("4000K", scaled).gains == pytest.approx(balance("4000K", true).gains)


def test_as_shot_of_a_real_camera_is_natural_light():
    """A chart at a window: daylight, measured 5304 K."""
    capture = read_capture(CHART)
    light = balance("as-shot", capture).light
    assert light is not None
    assert 4800 < light.kelvin < 5800
    assert abs(light.tint) < 40
    back = balance(f"{light.kelvin}K", capture, light.tint).gains
    assert back == pytest.approx(capture.wb, rel=1e-4)


def scene(light, count=40):
    """Camera RGB of random surfaces under a light, a third of them grey."""
    rng = np.random.default_rng(3)
    surfaces = rng.uniform(0.02, 1, (3, 8, 12))
    surfaces[:, rng.random((8, 12)) < 1 / 3] = rng.uniform(0.1, 1)
    gains = np.array(gains_of_light(capture_of(), light))
    camera = 0.9 * np.einsum("oc,chw->ohw", NIKON @ SRGB_TO_XYZ, surfaces)
    neutral = (NIKON @ SRGB_TO_XYZ).sum(1)
    camera = np.clip(camera / neutral[:, None, None], 0.01, None) / gains[:, None, None]
    return np.kron(camera / camera.max() * 0.9, np.ones((1, count, count)))


@pytest.mark.parametrize("light", [Light(2900), Light(4000, 15), Light(5500), Light(9000, -5)])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_automatic_balance_makes_greys_neutral(light, pattern):
    """Within 2 %; the planted fault, daylight's balance for tungsten light, is off by 60 %."""
    capture = capture_of(scene(light), pattern)
    expected = gains_of_light(capture, light)
    chosen = balance("auto", capture)
    assert chosen.gains == pytest.approx(expected, rel=0.03)
    assert chosen.notes == ()
    assert balance("auto", capture) == chosen


def test_the_same_scene_in_daylights_balance_is_far_off():
    warm = gains_of_light(capture_of(), Light(2900))
    daylight = gains_of_light(capture_of(), Light(5500))
    assert abs(daylight[2] / warm[2] - 1) > 0.3


def test_a_grey_card_becomes_neutral():
    gains = np.array(gains_of_light(capture_of(), Light(3200)))
    chosen = balance("auto", capture_of(0.5 / gains))
    assert chosen.gains == pytest.approx(tuple(gains), rel=0.01)


@settings(max_examples=10, deadline=None)
@given(
    hue=st.sampled_from([(0.9, 0.05, 0.05), (0.05, 0.9, 0.05), (0.05, 0.1, 0.9), (0.6, 0.05, 0.6)])
)
def test_a_capture_of_one_strong_colour_keeps_it(hue):
    chosen = balance("auto", capture_of(hue))
    assert "hardly any grey" in chosen.notes[0]
    assert chosen.light is not None
    assert 4000 < chosen.light.kelvin < 7000
    assert abs(chosen.light.tint) < 20


@pytest.mark.parametrize("value", [0, 1])
def test_black_and_saturated_captures_keep_the_as_shot_balance(value):
    chosen = balance("auto", capture_of((value, value, value)))
    assert chosen.gains == (2.0, 1.0, 1.5)
    assert "only saturated and dark parts" in chosen.notes[0]


@pytest.mark.parametrize("shape", [(2, 2), (2, 400), (400, 2), (31, 57)])
def test_every_size_can_be_balanced(shape):
    rgb = np.broadcast_to(np.array([0.25, 0.5, 0.4])[:, None, None], (3, *shape))
    assert min(balance("auto", capture_of(rgb)).gains) > 0


def test_without_colours_automatic_balance_makes_the_mean_grey():
    chosen = balance("auto", capture_of(xyz_to_camera=None, d65_wb=None))
    assert chosen.gains == pytest.approx((2.0, 1.0, 1.25), rel=1e-3)
    assert chosen.light is None
    assert "colours are not known" in chosen.notes[0]


@pytest.mark.parametrize("unknown", ["xyz_to_camera", "d65_wb"])
def test_kelvin_without_the_cameras_colours_is_refused(unknown):
    with pytest.raises(InputError, match="no white balance in kelvin; give as-shot, auto or mult"):
        balance("5500K", capture_of(**{unknown: None}))


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("daylight", "daylight white balance of this camera is not known; give as-shot, auto or"),
        ("tungsten", "'tungsten' is not known; give as-shot, daylight, auto, kelvin as in 5500K"),
        ("5500", "'5500' is not known"),
        ("-5500K", "'-5500K' is not known"),
        ("1000K", "1000 K; give 1500 to 25000"),
        ("1500K", "no white balance for 1500 K with tint 0; give a value closer to daylight"),
        ("1,2", "three positive multipliers"),
    ],
)
def test_balances_that_make_no_sense_are_one_sentence(choice, said):
    matrix = NIKON.copy()
    matrix[2] = (-0.3, 0.1919, 0.7086)  # no blue in warm light
    capture = capture_of(xyz_to_camera=matrix, d65_wb=d65_gains(matrix))
    with pytest.raises(InputError, match=said):
        balance(choice, capture)
