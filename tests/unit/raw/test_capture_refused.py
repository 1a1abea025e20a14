"""Files that cannot be developed are refused in one sentence."""

import io
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rawpy
import tifffile
from PIL import Image

from edge_pipeline.raw.capture import read_capture
from edge_pipeline.raw.sensor import RefusedError, read_layout
from edge_pipeline.raw.tiff import Directory
from tests.data_files import CHART, data_file
from tests.fakes.captures import refusal, scene
from tests.fakes.dng import Dng, write_dng


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


@pytest.mark.parametrize("shape", [(21, 40), (40, 2), (1, 1)])
def test_what_is_too_small_for_libraw_is_not_called_damaged(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    path = write_dng(tmp_path / "a.dng", np.full(shape, 1000, np.uint16), Dng())
    said = f"has {shape[1]} x {shape[0]} pixels; LibRaw reads files of at least 22"
    assert said in refusal(path)
