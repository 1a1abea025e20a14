"""Reading RAW files through LibRaw: values, levels, balance, orientation and EXIF."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import rawpy

from edge_pipeline.raw.capture import libraw_exposure_ev, normalise, read_capture
from edge_pipeline.raw.cfa import PATTERNS, align, pack, per_pixel
from edge_pipeline.raw.colour import camera_to_srgb_matrix
from edge_pipeline.raw.exif import read_exif
from edge_pipeline.raw.image import CaptureExif
from edge_pipeline.raw.tiff import Directory
from tests.data_files import CHART, data_file
from tests.fakes.captures import LEVELS, scene
from tests.fakes.dng import Dng, write_dng

ASCII, SHORT, RATIONAL = 2, 3, 5


def as_cell(pattern: str) -> tuple[int, ...]:
    """LEVELS in the order of the pattern's letters."""
    return tuple(int(level) for level in per_pixel(LEVELS, pattern, (2, 2)).ravel())


def test_the_chart() -> None:
    capture = read_capture(CHART)
    assert capture.mosaic.shape == (1156, 1734)
    assert capture.mosaic.dtype == np.uint16
    assert (int(capture.mosaic.min()), int(capture.mosaic.max())) == (1958, 12128)
    assert capture.pattern == "RGGB"
    assert capture.black == (2056, 2056, 2056, 2056)
    assert capture.white == 15000
    # AsShotNeutral 1, 2.477, 1.462
    assert capture.wb == pytest.approx((2.477, 1, 2.477 / 1.462), rel=1e-5)
    assert capture.daylight_wb == pytest.approx((2.65107, 1, 1.38866), rel=1e-4)
    assert capture.orientation == 1
    assert (capture.exif.make, capture.exif.model) == ("Canon", "Canon EOS Kiss X4")
    # Magic Lantern wrote zeros, for which LibRaw says 1 s and f/1.
    assert capture.exif.exposure_s is None
    assert capture.exif.f_number is None
    assert capture.exif.iso is None
    assert capture.exif.time is None
    assert capture.notes == ()
    assert capture.source == CHART


def test_the_kodak_reads_with_its_own_colour_matrix() -> None:
    capture = read_capture(data_file("captures/RAW_KODAK_DC50.KDC"))
    assert capture.mosaic.shape == (512, 768)
    assert capture.pattern == "GRBG"
    assert (capture.black, capture.white) == ((0, 0, 0, 0), 16383)
    assert capture.wb == (1, 1, 1)
    assert capture.daylight_wb is None
    # Tag 37400 of the file; rawpy shows it nowhere, it is measured.
    tagged = [[1.8125, -0.3365, -0.476], [-0.435, 1.852, -0.417], [-0.676, -1.393, 3.069]]
    matrix = camera_to_srgb_matrix(capture.xyz_to_camera)
    np.testing.assert_allclose(matrix, tagged, atol=2e-3)
    exif = capture.exif
    assert exif.model == "Kodak Digital Science DC50 Zoom Camera"
    assert (exif.exposure_s, exif.f_number, exif.focal_mm, exif.iso) == (0.00435, 6.2, 37.0, 84)
    assert exif.time == datetime(1997, 4, 23, 8, 0, 47)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("margin", [(0, 0), (3, 0), (0, 5), (3, 5)])
def test_the_active_area_has_its_own_pattern_and_blacks(
    pattern: str, margin: tuple[int, int], tmp_path: Path
) -> None:
    top, left = margin
    sensor = np.full((40 + top + 1, 50 + left + 3), 7, np.uint16)  # masked pixels
    sensor[top : top + 40, left : left + 50] = scene(pattern, (40, 50))
    dng = Dng(filters=pattern, black=as_cell(pattern), active=(top, left, top + 40, left + 50))
    capture = read_capture(write_dng(tmp_path / "a.dng", sensor, dng))
    assert capture.pattern == pattern
    assert capture.mosaic.shape == (40, 50)
    assert capture.black == LEVELS
    assert capture.white == 4095
    assert capture.wb == pytest.approx((2, 1, 1.6), rel=1e-4)
    planes = pack(align(capture.mosaic, capture.pattern).mosaic)
    for plane, level in zip(planes, LEVELS, strict=True):
        assert (plane == 1000 + level).all()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_levels_and_gains_give_what_libraw_gives(pattern: str, tmp_path: Path) -> None:
    """An independent restatement: LibRaw's own scaled, white-balanced camera colours."""
    values = (900.0, 1500.0, 1600.0, 700.0)
    mosaic = (per_pixel(values, pattern, (40, 50))).astype(np.uint16)
    path = write_dng(tmp_path / "a.dng", mosaic, Dng(filters=pattern))
    with rawpy.imread(str(path)) as raw:
        theirs = raw.postprocess(
            half_size=True,
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0,
            gamma=(1, 1),
            output_bps=16,
            output_color=rawpy.ColorSpace.raw,
        )
    capture = read_capture(path)
    signal = normalise(capture, capture.wb)
    red, first, second, blue = pack(align(signal, pattern).mosaic)[:, 3, 3]
    ours = [red, (first + second) / 2, blue]
    np.testing.assert_allclose(ours, theirs[9, 9] / 65535, rtol=1e-3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int, tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", scene("RGGB", (40, 50)), Dng(orientation=orientation))
    capture = read_capture(path)
    assert capture.orientation == orientation
    assert capture.mosaic.shape == (40, 50)


def test_exif(tmp_path: Path) -> None:
    dng = Dng(
        exif={
            33434: (RATIONAL, [0.004]),
            33437: (RATIONAL, [2.8]),
            34855: (SHORT, [65535]),
            34866: (4, [102400]),
            36867: (ASCII, b"2024:02:29 13:37:00\0"),
            37386: (RATIONAL, [85.0]),
            42036: (ASCII, b"Fake 85mm F1.8\0"),
        }
    )
    exif = read_capture(write_dng(tmp_path / "a.dng", scene("RGGB", (40, 50)), dng)).exif
    assert (exif.make, exif.model, exif.lens) == ("Fake", "Model One", "Fake 85mm F1.8")
    assert exif.exposure_s == pytest.approx(0.004)
    assert exif.f_number == pytest.approx(2.8)
    assert exif.focal_mm == pytest.approx(85)
    assert exif.iso == 102400
    assert exif.time == datetime(2024, 2, 29, 13, 37)


def test_broken_exif_does_not_stop_a_development(tmp_path: Path) -> None:
    dng = Dng(exif={36867: (ASCII, b"yesterday\0"), 33434: (99, b"what is this?")})
    exif = read_capture(write_dng(tmp_path / "a.dng", scene("RGGB", (40, 50)), dng)).exif
    assert (exif.time, exif.model) == (None, "Model One")


def test_numbers_that_exif_cannot_store_are_not_known() -> None:
    directories = [Directory({33434: (1e30,), 34855: (float(2**32),), 33437: (2.8,)}, is_exif=True)]
    exif = read_exif(directories, CaptureExif(focal_mm=float("inf")))
    assert (exif.exposure_s, exif.iso, exif.focal_mm, exif.f_number) == (None, None, None, 2.8)


def test_the_least_white_of_a_dng_counts(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", scene("RGGB", (40, 50)), Dng(white=(3000,)))
    assert read_capture(path).white == 3000


def test_without_white_balance_daylight_stands_in(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", scene("RGGB", (40, 50)), Dng(neutral=None))
    capture = read_capture(path)
    assert capture.wb == capture.daylight_wb
    assert "daylight balance is used" in capture.notes[0]


def test_without_any_white_balance_the_world_is_grey(tmp_path: Path) -> None:
    dng = Dng(neutral=None, matrix=None, black=(0, 0, 0, 0))
    capture = read_capture(write_dng(tmp_path / "a.dng", scene("RGGB", (40, 50)), dng))
    assert capture.xyz_to_camera is None
    assert capture.daylight_wb is None
    assert capture.wb == pytest.approx((1250 / 1100, 1, 1250 / 1400))
    assert any("assumed to be grey" in note for note in capture.notes)
    assert any("colours are not known" in note for note in capture.notes)


def test_a_dark_frame_keeps_its_mean(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dark = rng.normal(64, 5, (64, 64)).round().clip(0).astype(np.uint16)
    capture = read_capture(write_dng(tmp_path / "a.dng", dark))
    signal = normalise(capture, capture.wb)
    assert signal.min() < 0
    assert abs(float(signal.mean())) < 1e-3
    assert signal.max() < 0.02  # nothing wrapped


def test_libraw_brightness() -> None:
    capture = read_capture(CHART)
    assert libraw_exposure_ev(capture) == pytest.approx(np.log2((15000 - 2056) / (12128 - 2056)))


def test_a_matrix_that_cannot_be_inverted_is_left_out(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", scene("RGGB", (32, 32)), Dng(matrix=(1.0,) * 9))
    capture = read_capture(path)
    assert capture.xyz_to_camera is None
    assert any("cannot be inverted, so it is ignored" in note for note in capture.notes)
