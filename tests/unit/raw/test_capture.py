"""Reading RAW files through LibRaw, and refusing what cannot be developed in one sentence."""

import io
import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rawpy
import tifffile
from numpy.typing import NDArray
from PIL import Image

from edge_pipeline import fault_log
from edge_pipeline.errors import CaptureError, JobError, StoppedError
from edge_pipeline.raw import capture as capture_module
from edge_pipeline.raw import reader
from edge_pipeline.raw.capture import libraw_exposure_ev, normalise, read_capture
from edge_pipeline.raw.cfa import PATTERNS, align, pack, per_pixel
from edge_pipeline.raw.colour import camera_to_srgb_matrix
from edge_pipeline.raw.exif import read_exif
from edge_pipeline.raw.image import CaptureExif
from edge_pipeline.raw.sensor import RefusedError, read_layout
from edge_pipeline.raw.tiff import Directory
from tests.data_files import CHART, data_file
from tests.fakes.dng import Dng, write_dng

LEVELS = (100.0, 200.0, 300.0, 400.0)  # R, G on red rows, G on blue rows, B
ASCII, SHORT, RATIONAL = 2, 3, 5


def scene(pattern: str, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """A mosaic where each CFA position has its own value: 1100, 1200, 1300, 1400."""
    return (1000 + per_pixel(LEVELS, pattern, shape)).astype(np.uint16)


def as_cell(pattern: str) -> tuple[int, ...]:
    """LEVELS in the order of the pattern's letters."""
    return tuple(int(level) for level in per_pixel(LEVELS, pattern, (2, 2)).ravel())


def refusal(path: Path, **options: float) -> str:
    """The sentence that refuses `path`; it names the file and is one line."""
    with pytest.raises(CaptureError) as caught:
        read_capture(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert "Traceback" not in message
    assert len(message) < 300 + len(str(path))
    return message.removeprefix(str(path)).strip()


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


def test_a_filter_that_libraw_does_not_know_is_refused() -> None:
    """A damaged file can state a Bayer filter while LibRaw sees no filter at all."""
    raw = SimpleNamespace(raw_type=rawpy.RawType.Flat, raw_pattern=np.array([[6]], np.uint8))
    stated = Directory({262: (32803,), 33421: (2, 2)}, is_exif=False)
    with pytest.raises(RefusedError, match="colour filter that LibRaw does not know"):
        read_layout(raw, [stated], b"II*\0")
    with pytest.raises(RefusedError, match="monochrome"):
        read_layout(raw, [], b"II*\0")


def test_a_truncated_crw_is_called_truncated(tmp_path: Path) -> None:
    data = data_file("unsupported/exiv2-canon-powershot-s40.crw").read_bytes()
    for share in (0.01, 0.3, 0.9):
        path = tmp_path / "cut.crw"
        path.write_bytes(data[: int(len(data) * share)])
        assert refusal(path) == "is truncated or damaged; copy it from the camera again"


def test_a_stop_ends_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stand_in("import time; time.sleep(60)", tmp_path, monkeypatch)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    begun = time.perf_counter()
    with pytest.raises(StoppedError):
        read_capture(path, stop=stop)
    assert time.perf_counter() - begun < 10


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


# Refusals.


def test_xtrans_is_refused(tmp_path: Path) -> None:
    cell = "GBGGRGRGRBGBGBGGRGGRGGBGBGBRGRGRGGBG"
    dng = Dng(filters=cell, cell=(6, 6))
    path = write_dng(tmp_path / "a.dng", np.full((48, 60), 1000, np.uint16), dng)
    assert refusal(path) == "is an X-Trans capture; only Bayer sensors are supported"


def test_monochrome_is_refused(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", np.full((48, 60), 1000, np.uint16), Dng(filters=""))
    assert "monochrome" in refusal(path)


def test_linear_is_refused(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", np.full((48, 60, 3), 1000, np.uint16), Dng(filters=""))
    assert "linear DNG, already demosaiced" in refusal(path)
    assert "linear DNG" in refusal(data_file("unsupported/DSC8695.dng"))


@pytest.mark.parametrize(
    ("filters", "cell"),
    [("CYGM", (2, 2)), ("RRGGRRGGGGBBGGBB", (4, 4)), ("GBRGGBRG", (2, 4))],
)
def test_other_filters_are_refused(filters: str, cell: tuple[int, int], tmp_path: Path) -> None:
    dng = Dng(filters=filters, cell=cell, matrix=None, neutral=None)
    refusal(write_dng(tmp_path / "a.dng", np.full((48, 60), 1000, np.uint16), dng))


@pytest.mark.parametrize("share", [0.0002, 0.01, 0.5, 0.99, 0.9999])
def test_truncated_is_refused(share: float, tmp_path: Path) -> None:
    data = CHART.read_bytes()
    path = tmp_path / "cut.dng"
    path.write_bytes(data[: int(len(data) * share)])
    assert "truncated or damaged" in refusal(path)


@pytest.mark.parametrize("name", ["fixture-Leica-M10.dng", "exiv2-canon-powershot-s40.crw"])
def test_truncated_samples_are_refused(name: str) -> None:
    assert "truncated or damaged" in refusal(data_file(f"unsupported/{name}"))


def test_one_missing_strip_is_refused(tmp_path: Path) -> None:
    whole = write_dng(tmp_path / "a.dng", scene("RGGB", (40, 50)), Dng(strip_rows=8))
    assert read_capture(whole).mosaic.shape == (40, 50)
    cut = tmp_path / "b.dng"
    cut.write_bytes(whole.read_bytes()[:-1])
    assert "truncated or damaged" in refusal(cut)


def test_a_tail_of_zeros_is_refused(tmp_path: Path) -> None:
    mosaic = scene("RGGB", (128, 64))
    mosaic[100:] = 0
    assert "truncated" in refusal(write_dng(tmp_path / "a.dng", mosaic))


def picture(kind: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (64, 64), 90 if mode == "L" else (90, 80, 70)).save(buffer, kind)
    return buffer.getvalue()


def grey_tiff() -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.full((64, 64), 1000, np.uint16))
    return buffer.getvalue()


FOREIGN = {
    "JPEG picture": picture("JPEG"),
    "PNG picture": picture("PNG"),
    "WebP picture": picture("WEBP"),
    "BMP picture": picture("BMP"),
    "TIFF file without": picture("TIFF"),
    # LibRaw opens both as a Bayer capture: any TIFF with one sample, any file as long as a
    # headerless camera's.
    "a TIFF file without": grey_tiff(),
    "no header that tells": np.random.default_rng(0).bytes(786432),
    "is a text": "Grüße\n".encode() * 100,
    "text file": b"x",
    "PDF document": b"%PDF-1.7 " + bytes(100),
    "--width, --height": np.random.default_rng(1).bytes(5000),
    "not a RAW capture that LibRaw knows": bytes(10),
}


@pytest.mark.parametrize("words", FOREIGN)
def test_foreign_files_are_refused(words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.nef"
    path.write_bytes(FOREIGN[words])
    assert words in refusal(path)


def test_a_headerless_capture_is_not_taken_for_some_camera() -> None:
    """LibRaw takes these for a 1024 x 768 and a 1920 x 1080 camera, by their length."""
    assert "--width" in refusal(data_file("captures/DSC_1339_768x512_rggb.raw"))
    assert "--width" in refusal(data_file("captures/test_1920x1080_10b.RAW"))


def test_paths_without_a_file_are_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "none.dng")
    (tmp_path / "empty.dng").touch()
    assert "is empty" in refusal(tmp_path / "empty.dng")
    os.mkfifo(tmp_path / "pipe.dng")
    assert "not a regular file" in refusal(tmp_path / "pipe.dng")


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.dng"
    path.write_bytes(b"II*\0")

    def denied(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert refusal(path) == "cannot be read: permission denied; check its permissions"


def test_paths_that_the_system_refuses_are_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop.dng"
    loop.symlink_to(loop)
    assert "check its name" in refusal(loop)
    assert "file name too long; check its name" in refusal(tmp_path / f"{'a' * 300}.dng")


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are always UTF-8 there")
def test_names_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.dng")
    write_dng(path, scene("RGGB", (32, 32)), Dng())
    assert read_capture(path).mosaic.shape == (32, 32)


@pytest.mark.parametrize("shape", [(21, 40), (40, 2), (1, 1)])
def test_what_is_too_small_for_libraw_is_not_called_damaged(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    path = write_dng(tmp_path / "a.dng", np.full(shape, 1000, np.uint16), Dng())
    said = f"has {shape[1]} x {shape[0]} pixels; LibRaw reads files of at least 22"
    assert said in refusal(path)


def test_a_matrix_that_cannot_be_inverted_is_left_out(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", scene("RGGB", (32, 32)), Dng(matrix=(1.0,) * 9))
    capture = read_capture(path)
    assert capture.xyz_to_camera is None
    assert any("cannot be inverted, so it is ignored" in note for note in capture.notes)


def test_a_full_temporary_folder_is_a_failed_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dng(tmp_path / "b.dng", scene("RGGB", (32, 32)), Dng())
    with pytest.raises(SystemExit) as caught:
        reader.main(path, tmp_path / "absent")
    assert caught.value.code == reader.CANNOT_STORE
    body = f"import sys; sys.stderr.write('No space left'); sys.exit({reader.CANNOT_STORE})"
    with pytest.raises(JobError, match=r"cannot hold it: No space left; make room"):
        read_capture(stand_in(body, tmp_path, monkeypatch))


def test_no_temporary_folder_is_a_failed_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dng(tmp_path / "a.dng", scene("RGGB", (32, 32)), Dng())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(JobError, match="set TMPDIR"):
        read_capture(path)


# LibRaw misbehaving: stand-ins for the reader, run as real child processes.


def stand_in(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a module in the reader's place; return a file to read."""
    (tmp_path / "fake_reader.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(capture_module, "_READER", "fake_reader")
    path = tmp_path / "a.dng"
    path.write_bytes(b"II*\0")
    return path


def test_a_crash_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert "LibRaw crashed (SIGSEGV)" in refusal(stand_in(body, tmp_path, monkeypatch))


def test_a_hang_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stand_in("import time; time.sleep(60)", tmp_path, monkeypatch)
    assert "not read within 0.5 s" in refusal(path, timeout_s=0.5)


def test_an_exception_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fault_log._file.cache_clear()
    path = stand_in("raise RuntimeError('odd')", tmp_path, monkeypatch)
    said = refusal(path)
    assert "odd" not in said
    assert "RuntimeError: odd" in Path(said.rpartition(" ")[2]).read_text()
    fault_log._file.cache_clear()


def test_silence_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "status 0" in refusal(stand_in("", tmp_path, monkeypatch))


def test_the_current_folder_cannot_replace_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "rawpy", "json", "edge_pipeline"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    assert read_capture(CHART).pattern == "RGGB"


def test_names_that_look_like_options_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dng(tmp_path / "-v ü.dng", scene("RGGB", (40, 50)))
    monkeypatch.chdir(tmp_path)
    assert read_capture(Path("-v ü.dng")).pattern == "RGGB"


@pytest.mark.parametrize("seed", range(12))
def test_damage_never_takes_the_caller_down(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(write_dng(tmp_path / "a.dng", scene("RGGB", (40, 50))).read_bytes())
    for at in rng.integers(0, 400, 8):
        data[int(at)] = int(rng.integers(256))
    path = tmp_path / "b.dng"
    path.write_bytes(data)
    with suppress(CaptureError):
        read_capture(path, timeout_s=20)
