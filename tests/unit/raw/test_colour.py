"""Colour against LibRaw's own rendering, the sRGB curve, and white balance options."""

from pathlib import Path

import numpy as np
import pytest
import rawpy
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from edge_pipeline.errors import InputError
from edge_pipeline.raw.capture import Capture, libraw_exposure_ev, normalise, read_capture
from edge_pipeline.raw.colour import (
    SRGB_TO_XYZ,
    camera_to_srgb_matrix,
    parse_gains,
    srgb_decode,
    srgb_encode,
    to_srgb,
    unit_gains,
    xyz_to_camera_from_srgb,
)
from tests.data_files import CHART, data_file

gains = st.floats(0.1, 10)


def superpixels(capture: Capture) -> NDArray[np.float32]:
    """Each 2 x 2 cell from the corner as one pixel: R, mean of the G, B; [3, H/2, W/2]."""
    signal = normalise(capture, capture.wb)
    cells: dict[int, list[NDArray[np.float32]]] = {0: [], 1: [], 2: []}
    for at, letter in enumerate(capture.pattern):
        cells["RGB".index(letter)].append(signal[at // 2 :: 2, at % 2 :: 2])
    return np.stack([np.mean(cells[channel], axis=0) for channel in range(3)])


def libraw(path: Path, *, adjust_maximum_thr: float) -> NDArray[np.float64]:
    with rawpy.imread(str(path)) as raw:
        picture = raw.postprocess(
            half_size=True,
            use_camera_wb=True,
            no_auto_bright=True,
            gamma=(2.4, 12.92),
            output_color=rawpy.ColorSpace.sRGB,
            output_bps=16,
            adjust_maximum_thr=adjust_maximum_thr,
        )
    return np.asarray(picture / 65535.0)


def colour_error(path: Path, *, like_libraw: bool) -> float:
    """Mean CIEDE2000 between ours and LibRaw's, demosaiced alike."""
    capture = read_capture(path)
    exposure = libraw_exposure_ev(capture) if like_libraw else 0.0
    matrix = camera_to_srgb_matrix(capture.xyz_to_camera)
    ours = to_srgb(superpixels(capture), matrix, exposure).transpose(1, 2, 0)
    theirs = libraw(path, adjust_maximum_thr=0.75 if like_libraw else 0.0)
    difference = deltaE_ciede2000(rgb2lab(ours), rgb2lab(theirs))  # type: ignore[no-untyped-call]
    return float(difference.mean())


@pytest.mark.parametrize("like_libraw", [False, True])
def test_the_charts_colours_agree_with_libraw(like_libraw: bool) -> None:
    assert colour_error(CHART, like_libraw=like_libraw) < 0.1  # measured 0.03


def test_the_kodaks_colours_agree_with_libraw() -> None:
    path = data_file("captures/RAW_KODAK_DC50.KDC")
    assert colour_error(path, like_libraw=False) < 0.5


def test_a_wrong_matrix_would_be_seen() -> None:
    """Planted fault: the transpose."""
    capture = read_capture(CHART)
    matrix = camera_to_srgb_matrix(capture.xyz_to_camera)
    right = to_srgb(superpixels(capture), matrix).transpose(1, 2, 0)
    wrong = to_srgb(superpixels(capture), matrix.T).transpose(1, 2, 0)
    difference = deltaE_ciede2000(rgb2lab(right), rgb2lab(wrong))  # type: ignore[no-untyped-call]
    assert difference.mean() > 1


def test_white_stays_white() -> None:
    capture = read_capture(CHART)
    matrix = camera_to_srgb_matrix(capture.xyz_to_camera)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(camera_to_srgb_matrix(None), np.eye(3))


def test_a_camera_that_sees_as_srgb_needs_no_change() -> None:
    np.testing.assert_allclose(
        camera_to_srgb_matrix(np.linalg.inv(SRGB_TO_XYZ)), np.eye(3), atol=1e-9
    )


@given(st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6), st.tuples(gains, gains, gains))
def test_the_matrix_does_not_depend_on_the_scale_of_its_rows(
    off: list[float], scales: tuple[float, float, float]
) -> None:
    camera_to_srgb = np.eye(3)
    camera_to_srgb[~np.eye(3, dtype=bool)] = off
    camera_to_srgb[np.eye(3, dtype=bool)] = 1 - camera_to_srgb.sum(axis=1) + 1
    if abs(np.linalg.det(camera_to_srgb)) < 0.1:
        return
    xyz_to_camera = xyz_to_camera_from_srgb(camera_to_srgb) * np.array(scales)[:, None]
    np.testing.assert_allclose(camera_to_srgb_matrix(xyz_to_camera), camera_to_srgb, atol=1e-6)


@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 3)), np.ones((3, 3)), np.eye(2), np.full((3, 3), np.nan), -np.eye(3)]
)
def test_useless_matrices_are_refused(matrix: NDArray[np.float64]) -> None:
    with pytest.raises(InputError, match="the colour matrix"):
        camera_to_srgb_matrix(matrix)


def test_the_curve_at_known_points() -> None:
    linear = np.array([-1, 0, 0.0031308, 0.18, 0.5, 1, 2])
    known = [0, 0, 0.04045, 0.461356, 0.735357, 1, 1]
    np.testing.assert_allclose(srgb_encode(linear), known, atol=1e-5)


@given(st.floats(0, 1))
def test_the_curve_comes_back(value: float) -> None:
    assert float(srgb_decode(srgb_encode(np.array(value)))) == pytest.approx(value, abs=1e-7)
    assert srgb_encode(np.array(value, np.float32)).dtype == np.float32


def test_a_stop_doubles_the_light() -> None:
    grey = np.full((2, 3, 4, 5), 0.2, np.float32)
    one = to_srgb(grey, np.eye(3), 1.0)
    assert one.shape == (2, 3, 4, 5)
    assert one.dtype == np.float32
    np.testing.assert_allclose(srgb_decode(one), 0.4, atol=1e-6)


@given(st.tuples(gains, gains, gains))
def test_gains_keep_ratios_and_the_least_is_one(wb: tuple[float, float, float]) -> None:
    scaled = unit_gains(wb)
    assert min(scaled) == 1
    np.testing.assert_allclose(np.array(scaled) / scaled[1], np.array(wb) / wb[1], rtol=1e-9)
    text = ",".join(str(gain) for gain in wb)
    np.testing.assert_allclose(parse_gains(text), np.array(wb) / wb[1], rtol=1e-9)


@pytest.mark.parametrize(
    "text", ["1,2", "1,2,3,4", "0,1,1", "-1,1,1", "nan,1,1", "inf,1,1", "a,b,c"]
)
def test_wrong_multipliers_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="three positive multipliers"):
        parse_gains(text)


@pytest.mark.parametrize("text", ["1e39,1,1", "1,1,1e-39", "1e200,1e-200,1"])
def test_multipliers_that_no_light_asks_for_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="over 1000 times apart"):
        parse_gains(text)


def test_useless_gains_are_refused() -> None:
    with pytest.raises(InputError, match="three positive finite"):
        unit_gains((1.0, 0.0, 1.0))
