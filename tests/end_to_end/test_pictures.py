"""`develop`: the size, the format and the EXIF of pictures, from the command line."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile
from PIL import ExifTags, Image

from edge_pipeline.cli.main import main
from edge_pipeline.raw.exif_fields import read_fields
from tests.data_files import more_captures
from tests.fakes.artifacts import make_artifact
from tests.fakes.dng import Dng, write_dng

HEADERLESS = [
    *("--width", "48", "--height", "32", "--bits", "12", "--cfa", "rggb"),
    *("--black", "0", "--white", "4095", "--wb", "1,1,1"),
]
FULL = Dng(
    orientation=6,
    extra={
        315: (2, "José\0".encode()),
        33432: (2, "© 2026\0".encode()),
        50735: (2, b"0042\0"),
    },
    exif={
        33434: (5, [1 / 250]),
        34850: (3, [3]),
        36867: (2, b"2024:02:29 13:37:00\0"),
        36881: (2, b"+09:00\0"),
        37380: (10, [-0.5]),
        37383: (3, [5]),
        37385: (3, [25]),
        37500: (7, b"maker note"),
        37510: (7, b"ASCII\0\0\0a comment"),
        37521: (2, b"042\0"),
        41989: (3, [75]),
        42035: (2, b"Maker\0"),
        42036: (2, b"24-70mm\0"),
        42037: (2, b"L7\0"),
    },
    gps={0: (1, [2, 3, 0, 0]), 1: (2, b"S\0"), 2: (5, [33.0, 51.0, 30.5]), 5: (1, [0])},
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_artifact(tmp_path_factory.mktemp("model") / "split", filters="split").folder)


@pytest.fixture
def develop(model, capsys):
    """Run the verb; gives the exit code, stdout and stderr."""

    def run(*words):
        code = main(["develop", *map(str, words), "--model", model, "--threads", "1"])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def raw(tmp_path):
    """A headerless capture of 48 x 32 pixels, smooth."""
    rows, cols = np.mgrid[:32, :48]
    path = tmp_path / "a.raw"
    (500 + 40 * rows + 30 * cols).astype("<u2").tofile(path)
    return path


def mosaic(height=40, width=60):
    return np.random.default_rng(0).integers(64, 4000, (height, width), np.uint16)


def size_of(path):
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["24"], (24, 16)),
        (["x8"], (12, 8)),
        (["30x30"], (30, 20)),
        (["50%"], (24, 16)),
        (["500"], (48, 32)),
        (["18", "--size", "half"], (18, 12)),
        (["50%", "--size", "half"], (12, 8)),
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_resize(develop, raw, tmp_path, words, size, suffix):
    target = tmp_path / f"a.{suffix}"
    code, _, _ = develop(raw, "-o", target, "--resize", *words, "--sidecar", *HEADERLESS)
    assert code == 0
    assert size_of(target) == size
    info = json.loads(Path(f"{target}.json").read_text())
    assert info["picture"] == {"width": size[0], "height": size[1]}
    assert info["capture"]["width"] == 48
    assert info["settings"]["resize"] == words[0]
    if suffix == "tif":
        assert tifffile.imread(target).dtype == np.uint16
    else:
        with Image.open(target) as image:
            photo = image.getexif().get_ifd(ExifTags.IFD.Exif)
        assert (photo[ExifTags.Base.ExifImageWidth], photo[ExifTags.Base.ExifImageHeight]) == size


def test_a_resized_picture_shows_the_same(develop, raw, tmp_path):
    whole, small = tmp_path / "whole.tif", tmp_path / "small.tif"
    assert develop(raw, "-o", whole, *HEADERLESS)[0] == 0
    assert develop(raw, "-o", small, "--resize", "24", *HEADERLESS)[0] == 0
    means = tifffile.imread(whole).astype(float).reshape(16, 2, 24, 2, 3).mean(axis=(1, 3))
    inside = (slice(2, -2), slice(2, -2))
    difference = np.abs(tifffile.imread(small) - means)[inside]
    assert difference.max() < 0.01 * 65535


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resize", "0"], "the size '0' has a length of 0 pixels"),
        (["--resize", "big"], "the size 'big' is not known; give the longer side"),
        (["--resize", "150%"], "the size is '150%'; give more than 0% and at most 100%"),
        (["--quality", "0"], "the JPEG quality is 0; give 1 to 100"),
        (["--quality", "101"], "the JPEG quality is 101; give 1 to 100"),
        (["--quality", "80", "--format", "png"], "--quality 80 applies to JPEG, but the format"),
        (["--quality", "80", "--format", "tif"], "the format is tiff; leave out --quality"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(develop, raw, tmp_path, words, said):
    code, out, err = develop(raw, "-o", f"{tmp_path}/out/", *words, *HEADERLESS)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_quality(develop, raw, tmp_path):
    layers = {}
    for quality in ("1", "89", "90", "100", None):
        target = tmp_path / f"{quality}.jpg"
        words = [] if quality is None else ["--quality", quality]
        assert develop(raw, "-o", target, *words, "--sidecar", *HEADERLESS)[0] == 0
        with Image.open(target) as image:
            layers[quality] = (image.layer[0][1:3], sum(map(sum, image.quantization.values())))
        info = json.loads(Path(f"{target}.json").read_text())
        assert info["settings"]["quality"] == (95 if quality is None else int(quality))
    assert layers["1"][0] == layers["89"][0] == (2, 2)
    assert layers["90"][0] == layers["100"][0] == layers[None][0] == (1, 1)
    sums = [layers[quality][1] for quality in ("1", "89", "90", None, "100")]
    assert sums == sorted(sums, reverse=True)
    assert len(set(sums)) == 5


def test_a_picture_of_another_format_has_no_quality(develop, raw, tmp_path):
    target = tmp_path / "a.png"
    assert develop(raw, "-o", target, "--sidecar", *HEADERLESS)[0] == 0
    assert json.loads((tmp_path / "a.png.json").read_text())["settings"]["quality"] is None


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_all_exif_is_copied(develop, tmp_path, suffix):
    source, target = tmp_path / "a.dng", tmp_path / f"a.{suffix}"
    write_dng(source, mosaic(), FULL)
    code, _, err = develop(source, "-o", target, "--resize", "30")
    assert (code, err) == (0, "")
    wanted, _ = read_fields(source.read_bytes())
    if suffix == "tif":
        found, _ = read_fields(target.read_bytes())
    else:
        with Image.open(target) as image:
            found, _ = read_fields(image.info["exif"].removeprefix(b"Exif\0\0"))
    assert dict(found.main).items() >= dict(wanted.main).items()
    assert dict(found.photo).items() >= dict(wanted.photo).items()
    assert found.gps == wanted.gps
    assert {315, 33432} <= wanted.main.keys()
    assert {42033, 37510, 37521, 41989, 36881} <= wanted.photo.keys()
    assert set(wanted.gps) == {0, 1, 2, 5}
    with Image.open(target) as image:
        assert image.size == (20, 30)  # upright
        assert image.getexif()[ExifTags.Base.Orientation] == 1
        assert 37500 not in image.getexif().get_ifd(ExifTags.IFD.Exif)


def test_exif_that_is_too_long_is_a_note(develop, tmp_path):
    source = write_dng(tmp_path / "a.dng", mosaic(), Dng(exif={37510: (7, bytes(70_000))}))
    code, _, err = develop(source, "-o", tmp_path / "a.jpg")
    assert code == 0
    assert err == f"note: {source}: the EXIF tag 37510 is too long for a picture and is omitted\n"


@pytest.mark.parametrize("aspect", [1.5, 0.6, 1.0])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_pixels_become_square_as_in_libraw(develop, tmp_path, aspect, orientation):
    dng = Dng(orientation=orientation, extra={50718: (5, [aspect, 1.0])})
    source, target = write_dng(tmp_path / "a.dng", mosaic(), dng), tmp_path / "a.png"
    code, _, err = develop(source, "-o", target, "--sidecar")
    assert (code, err) == (0, "")
    with rawpy.imread(str(source)) as opened:
        height, width, _ = opened.postprocess().shape
    assert size_of(target) == (width, height)
    assert (width != height * 3 // 2) == (aspect != 1.0 or orientation != 1)
    info = json.loads((tmp_path / "a.png.json").read_text())
    assert info["capture"]["pixel_aspect"] == pytest.approx(aspect)
    plain = tmp_path / "plain.png"
    assert develop(source, "-o", plain, "--no-square-pixels")[0] == 0
    assert size_of(plain) == ((60, 40) if orientation == 1 else (40, 60))
    small = tmp_path / "small.png"
    assert develop(source, "-o", small, "--resize", "20", "--size", "half")[0] == 0
    assert max(size_of(small)) == 20


@pytest.mark.parametrize("stated", [(5.0, 1.0), (0.2, 1.0)])
def test_an_impossible_pixel_is_a_note(develop, tmp_path, stated):
    source = write_dng(tmp_path / "a.dng", mosaic(), Dng(extra={50718: (5, stated)}))
    code, _, err = develop(source, "-o", tmp_path / "a.png")
    assert code == 0
    assert "times as wide as high; they are assumed to be square" in err
    assert size_of(tmp_path / "a.png") == (60, 40)


def test_real_captures_with_oblong_pixels(develop, tmp_path):
    for source in more_captures("DC120*.KDC")[:1]:
        assert develop(source, "-o", tmp_path / "a.jpg")[0] == 0
        assert size_of(tmp_path / "a.jpg") == (1301, 976)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_real_crw_files_keep_camera_and_lens(develop, tmp_path):
    source = more_captures("*.CRW")[0]
    assert develop(source, "-o", tmp_path / "a.jpg", "--resize", "400")[0] == 0
    names = ["-Make", "-Model", "-DateTimeOriginal", "-FocalLength#", "-MeteringMode#"]
    told = [
        subprocess.run(["exiftool", "-s3", *names[:4], str(file)], capture_output=True, check=True)
        for file in (source, tmp_path / "a.jpg")
    ]
    assert told[0].stdout == told[1].stdout
    assert told[0].stdout.count(b"\n") == 4


@pytest.mark.parametrize(("name", "kind"), [("jpeg", "JPEG"), ("tif", "TIFF"), ("png", "PNG")])
def test_standard_output_takes_the_same_options(model, raw, tmp_path, name, kind):
    words = ["-o", "-", "--format", name, "--resize", "24", "--model", model, "--threads", "1"]
    words += ["--quality", "50"] if name == "jpeg" else []
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "edge_pipeline", "develop", str(raw), *words, *HEADERLESS],
        capture_output=True,
        env=environment,
        check=True,
    )
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == (kind, (24, 16))
        if name == "jpeg":
            assert image.layer[0][1:3] == (2, 2)
    assert list(tmp_path.iterdir()) == [raw]


def test_quality_of_another_format_on_standard_output(develop, raw):
    words = ["-o", "-", "--format", "png", "--quality", "50", *HEADERLESS]
    code, _, err = develop(raw, *words)
    assert code == 2
    assert "--quality 50 applies to JPEG, but the format is png" in err


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_disk_that_fails_leaves_nothing(model, raw, tmp_path, suffix):
    """The kernel refuses files of more than a kilobyte, as a full disk does."""
    out = tmp_path / "out"
    program = (
        "import resource, sys; from edge_pipeline.isp import output; "
        "true = output.write_picture\n"
        "def limited(*words, **options):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "    return true(*words, **options)\n"
        "from edge_pipeline.isp import batch; batch.write_picture = limited\n"
        "from edge_pipeline.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["develop", str(raw), "-o", str(out / f"a.{suffix}"), "--model", model]
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--sidecar", "--resize", "40", *HEADERLESS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"cannot write {out}/a.{suffix}" in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("seed", range(8))
def test_damaged_exif_never_stops_a_development(develop, tmp_path, seed):
    """Bytes of the directories are damaged, except for those that LibRaw requires."""
    source = write_dng(tmp_path / "a.dng", mosaic(), FULL)
    data = bytearray(source.read_bytes())
    (exif_at,) = struct.unpack_from("<I", data, data.index(struct.pack("<HHI", 34665, 4, 1)) + 8)
    end = len(data) - mosaic().nbytes
    random = np.random.default_rng(seed)
    for at in random.integers(exif_at, end, 40):
        data[at] = random.integers(0, 256)
    source.write_bytes(data)
    code, _, err = develop(source, "-o", tmp_path / "a.jpg")
    assert code in (0, 2)
    assert "Traceback" not in err
    assert "unexpected" not in err
    if code == 0:
        with Image.open(tmp_path / "a.jpg") as image:
            image.load()
            image.getexif().get_ifd(ExifTags.IFD.Exif)
