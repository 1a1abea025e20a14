"""Memory of `develop`: hardly more for four times the pixels; pictures do not depend on it."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from edge_pipeline.cli.main import main
from tests.fakes.dng import Dng, write_dng

BYTES_PER_PIXEL = 6  # the strips of a TIFF and the parts of a capture; a whole picture has 6 more
# Not ru_maxrss, which a process inherits from the one that started it.
PEAK_KB = "open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]"
MEASURE = (
    "import sys; from edge_pipeline.cli.main import main; code = main(sys.argv[1:]); "
    f"print({PEAK_KB}); sys.exit(code)"
)


def scene(height, width, seed=0):
    """Smooth light with noise and saturated areas, RGGB."""
    rows, columns = np.mgrid[:height, :width] / 97.0
    rng = np.random.default_rng(seed)
    light = 2000 + 2100 * np.sin(rows) * np.cos(columns) + rng.normal(0, 30, (height, width))
    return light.clip(64, 4095).round().astype(np.uint16)


def peak_bytes(capture, picture):
    words = [sys.executable, "-c", MEASURE, "develop", str(capture), "-o", str(picture)]
    done = subprocess.run([*words, "--threads", "1"], capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted differently elsewhere")
def test_memory_hardly_grows_with_the_number_of_pixels(tmp_path):
    peaks = []
    for number, (height, width) in enumerate(((1600, 2400), (3200, 4800))):
        capture = write_dng(tmp_path / f"{number}.dng", scene(height, width), Dng())
        peaks.append(peak_bytes(capture, tmp_path / f"{number}.tiff"))
    more_pixels = 3200 * 4800 - 1600 * 2400
    assert peaks[1] - peaks[0] < BYTES_PER_PIXEL * more_pixels
    assert peaks[1] < 400e6


def developed(capture, picture, *words):
    assert main(["develop", str(capture), "-o", str(picture), "--force", *words]) == 0
    return tifffile.imread(picture)


@pytest.mark.parametrize("size", ["full", "half"])
def test_smaller_tiles_make_the_same_picture(tmp_path, size):
    """Several strips, of odd sizes; the network's tiles are exact except for float32's rounding."""
    capture = write_dng(tmp_path / "a.dng", scene(231, 277), Dng(filters="GBRG"))
    pictures = [
        developed(
            capture, tmp_path / "a.tiff", "--size", size, "--memory", memory, "--threads", "1"
        )
        for memory in ("400", "135")
    ]
    assert np.abs(np.subtract(*pictures, dtype=np.int32)).max() <= 16


@pytest.mark.parametrize(
    ("size", "orientation"),
    [*(("full", n) for n in range(2, 9)), ("half", 3), ("half", 6), ("half", 8)],
)
def test_strips_are_upright_in_all_orientations(tmp_path, size, orientation):
    words = ["--size", size, "--memory", "135", "--threads", "1"]
    mosaic = scene(231, 277)
    straight, turned = (
        write_dng(tmp_path / f"{n}.dng", mosaic, Dng(orientation=n)) for n in (1, orientation)
    )
    flat = developed(straight, tmp_path / "a.tiff", *words)
    made = developed(turned, tmp_path / "b.tiff", *words)
    for channel in range(3):
        plane = Image.fromarray(flat[..., channel].astype(np.int32))
        plane.getexif()[0x0112] = orientation
        np.testing.assert_array_equal(
            made[..., channel], np.asarray(ImageOps.exif_transpose(plane))
        )


def test_a_limit_that_is_too_small_is_one_sentence(tmp_path, capsys):
    capture = write_dng(tmp_path / "a.dng", scene(64, 96), Dng())
    assert main(["develop", str(capture), "-o", str(tmp_path / "a.jpg"), "--memory", "90"]) == 1
    said = capsys.readouterr().err
    assert "a picture of 96 x 64 pixels requires about" in said
    assert "the limit is 90 MB; give a larger --memory" in said
    assert not (tmp_path / "a.jpg").exists()


def test_the_limit_does_not_apply_to_a_cluster(tmp_path, capsys):
    capture = write_dng(tmp_path / "a.dng", scene(64, 96), Dng())
    words = ["--memory", "300", "--scheduler", "tcp://127.0.0.1:1"]
    assert main(["develop", str(capture), "-o", str(tmp_path / "a.jpg"), *words]) == 2
    assert "--memory applies to this machine only" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted differently elsewhere")
def test_the_reader_does_not_copy_the_capture(tmp_path):
    """The reader's process has LibRaw's own values and bands of them."""
    capture = write_dng(tmp_path / "a.dng", scene(3200, 4800), Dng())
    program = (
        "import sys; from pathlib import Path; from edge_pipeline.raw.reader import main; "
        f"main(Path(sys.argv[1]), Path(sys.argv[2])); print({PEAK_KB})"
    )
    words = [sys.executable, "-c", program, str(capture), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert 1024 * int(done.stdout) < 80e6 + 3 * 3200 * 4800
