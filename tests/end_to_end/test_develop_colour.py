"""`edge-pipeline develop` from the command line: tone, light, highlights, levels, colour spaces."""

import io
import json

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from edge_pipeline.cli.main import main
from edge_pipeline.isp.colour_spaces import COLOUR_SPACES
from edge_pipeline.isp.icc import icc_profile
from edge_pipeline.raw.colour import srgb_decode
from edge_pipeline.raw.tone import ToneCurve
from tests.data_files import CHART
from tests.fakes.artifacts import make_artifact
from tests.fakes.dng import Dng, write_dng

HEADERLESS = ["--width", "48", "--height", "32", "--bits", "12", "--cfa", "rggb", "--wb", "2,1,1.6"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_artifact(tmp_path_factory.mktemp("model") / "folded").folder)


@pytest.fixture
def develop(model, capsys, tmp_path, monkeypatch):
    """Run the verb in the folder of the test; gives the exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main(["develop", *map(str, words), "--model", model, "--threads", "1"])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def dng(tmp_path):
    """A capture of a camera whose colours are known: random blocks of 4 x 4 pixels."""
    blocks = np.random.default_rng(0).integers(100, 3000, (16, 20))
    mosaic = np.kron(blocks, np.ones((4, 4))).astype(np.uint16)
    return write_dng(tmp_path / "a.dng", mosaic, Dng())


def picture(develop, source, *words, name="a.png"):
    code, _, err = develop(source, "-o", name, "--force", "--sidecar", *words)
    assert code == 0, err
    with open(f"{name}.json", encoding="utf-8") as file:  # noqa: PTH123
        sidecar = json.load(file)
    if name.endswith(".tiff"):
        return tifffile.imread(name), sidecar
    with Image.open(name) as image:
        return np.asarray(image), sidecar


def refused(develop, *words):
    code, out, err = develop(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_the_default_tone_has_more_contrast(develop):
    linear, one = picture(develop, CHART, "--tone", "linear", "--size", "half")
    standard, other = picture(develop, CHART, "--size", "half")
    assert (one["settings"]["tone"], other["settings"]["tone"]) == ("linear", "standard")
    assert standard.std() > 1.1 * linear.std()
    middle = (linear > 130) & (linear < 180)
    assert (standard[middle] >= linear[middle]).mean() > 0.9


def test_the_default_tone_is_the_curve_on_greys(develop, tmp_path):
    cells = np.linspace(64, 4095, 24 * 16).reshape(16, 24)
    (tmp_path / "a.raw").write_bytes(np.kron(cells, np.ones((2, 2))).astype("<u2").tobytes())
    words = [*HEADERLESS[:-1], "1,1,1", "--black", "64", "--highlights", "clip"]
    linear, _ = picture(develop, "a.raw", *words, "--tone", "linear", name="a.tiff")
    standard, _ = picture(develop, "a.raw", *words, name="b.tiff")
    expected = ToneCurve()(srgb_decode(linear / 65535))
    assert np.abs(expected - srgb_decode(standard / 65535)).max() < 1e-4


def test_kelvin_and_tint_are_in_the_sidecar_and_in_the_picture(develop, dng):
    cool, sidecar = picture(develop, dng, "--wb", "3000K")
    assert sidecar["white_balance"]["kelvin"] == 3000
    assert sidecar["white_balance"]["tint"] == 0
    hot, sidecar = picture(develop, dng, "--wb", "8000K", "--tint", "20")
    assert (sidecar["white_balance"]["kelvin"], sidecar["white_balance"]["tint"]) == (8000, 20)
    assert hot[..., 0].mean() > cool[..., 0].mean()
    assert hot[..., 2].mean() < cool[..., 2].mean()
    used = sidecar["white_balance"]["used"]
    same, _ = picture(develop, dng, "--wb", ",".join(map(str, used)))
    np.testing.assert_array_equal(same, hot)


def test_automatic_white_balance_makes_a_tinted_chart_neutral(develop):
    """The chart's grey patches, in daylight's balance of another light, and measured."""
    _, sidecar = picture(develop, CHART, "--wb", "auto", "--size", "half")
    light = sidecar["white_balance"]
    assert light["used"] != light["as_shot"]
    assert 2500 < light["kelvin"] < 11000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--wb", "5500K", "--tint", "999"], "the tint is 999; give -150 to 150"),
        (["--tint", "5"], "the tint is 5 but the white balance is 'as-shot'; a tint requires kel"),
        (["--wb", "900K"], "the colour temperature is 900 K; give 1500 to 25000"),
        (["--wb", "5500"], "white balance '5500' is not known; give as-shot, daylight, auto, kel"),
        (["--tone", "film"], "the tone is 'film'; give linear or standard"),
        (["--highlights", "blend"], "highlights is 'blend'; give clip or reconstruct"),
        (["--colour-space", "cmyk"], "no colour space is called 'cmyk'; give one of srgb, displ"),
        (["--colour-space", "linear-rec2020"], "linear-rec2020 shows steps with 8 bits"),
        (["--black", "9,9"], "the black level is '9,9'; give one number, or four as R,G,G,B"),
        (["--white", "-4"], "the white level is -4; give 0 to 65535"),
        (["--white", "20"], "black level 64 and white level 20; white must be above black"),
        (["--black", "5000"], "black level 5000 and white level 4095; white must be above black"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(develop, dng, tmp_path, words, said):
    assert said in refused(develop, dng, "-o", "a.png", *words)
    assert [path.name for path in tmp_path.iterdir()] == ["a.dng"]


def test_a_batch_in_a_space_that_does_not_fit_is_refused_once(develop, dng):
    words = (dng, dng.rename(dng.with_name("b.dng")), "-o", "out", "--colour-space")
    assert "write a .tiff" in refused(develop, *words, "linear-rec2020", "--format", "jpg")


def test_kelvin_without_the_cameras_colours_is_refused(develop, tmp_path):
    (tmp_path / "a.raw").write_bytes(np.full(48 * 32, 900, "<u2").tobytes())
    code, _, err = develop("a.raw", "-o", "a.png", *HEADERLESS[:-2], "--wb", "5500K")
    assert code == 2
    assert "no white balance in kelvin; give as-shot, auto or multipliers R,G,B" in err


def test_levels_replace_those_of_a_file(develop, dng):
    plain, sidecar = picture(develop, dng)
    assert sidecar["levels"] == {"black": [64.0] * 4, "white": 4095.0}
    brighter, sidecar = picture(develop, dng, "--white", "3500")
    assert sidecar["levels"] == {"black": [64.0] * 4, "white": 3500.0}
    darker, sidecar = picture(develop, dng, "--black", "90,91,92,93")
    assert sidecar["levels"]["black"] == [90.0, 91.0, 92.0, 93.0]
    assert darker.mean() < plain.mean() < brighter.mean()


def overexposed(pattern, folder):
    """A white wall from dark to far over the sensor's range, in one of the Bayer orders."""
    ramp = np.geomspace(0.2, 5, 48)
    mosaic = np.empty((32, 48))
    for place, name in enumerate(pattern):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = ramp[column::2] / {"R": 2.0, "G": 1.0, "B": 1.6}[name]
    path = folder / f"{pattern}.raw"
    path.write_bytes(np.minimum(64 + 4031 * mosaic, 4095).astype("<u2").tobytes())
    return path


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "grbg", "gbrg"])
@pytest.mark.parametrize("words", [[], ["--exposure", "-1"], ["--tone", "linear"]])
def test_a_white_wall_has_no_cast_where_it_saturates(develop, tmp_path, pattern, words):
    path = overexposed(pattern.upper(), tmp_path)
    words = [*HEADERLESS, "--cfa", pattern, "--black", "64", "--highlights", "reconstruct", *words]
    rgb, sidecar = picture(develop, path, *words)
    inside = rgb[4:-4].astype(int)
    steps = np.abs(np.diff(inside.mean(axis=(0, 2)))).max()  # nearest-neighbour demosaicing
    assert np.ptp(inside, axis=2).max() <= 2 * steps + 4
    assert (inside[:, -6:] == 255).all()
    assert sidecar["highlights"] == "reconstruct"


def test_a_blue_sky_becomes_pale_and_not_cyan(develop, tmp_path):
    """Green saturates first. Clipped by channel, green and blue are equal: cyan."""
    mosaic = np.empty((32, 48))
    mosaic[::2, ::2], mosaic[1::2, 1::2] = 0.8 / 2, 1.45 / 1.6
    mosaic[::2, 1::2] = mosaic[1::2, ::2] = 1.0
    (tmp_path / "a.raw").write_bytes(np.minimum(64 + 4031 * mosaic, 4095).astype("<u2").tobytes())
    clipped, _ = picture(develop, "a.raw", *HEADERLESS, "--black", "64", "--highlights", "clip")
    kept, _ = picture(develop, "a.raw", *HEADERLESS, "--black", "64")
    assert clipped[16, 24, 1] == clipped[16, 24, 2]
    red, green, blue = kept[16, 24].astype(int)
    assert red < green < blue - 5


def test_highlights_are_clipped_with_linear_tone_by_default(develop, dng):
    assert picture(develop, dng, "--tone", "linear")[1]["highlights"] == "clip"
    assert picture(develop, dng)[1]["highlights"] == "reconstruct"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tiff"])
@pytest.mark.parametrize("space", ["srgb", "display-p3", "adobe-rgb", "linear-rec2020"])
def test_a_picture_has_the_profile_of_its_space(develop, dng, name, space):
    if space == "linear-rec2020" and name != "a.tiff":
        assert "write a .tiff" in refused(develop, dng, "-o", name, "--colour-space", space)
        return
    assert develop(dng, "-o", name, "--color-space", space)[0] == 0
    with Image.open(name) as image:
        assert image.info["icc_profile"] == icc_profile(COLOUR_SPACES[space])
        stated = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace]
    assert stated == (1 if space == "srgb" else 0xFFFF)


@pytest.mark.parametrize("space", ["display-p3", "adobe-rgb"])
def test_the_same_colours_in_every_space(develop, dng, space):
    """Converted by Little CMS to sRGB, within 2 codes where sRGB has the colour, except dark ones.

    Compared without conversion (the planted fault), they are off by more than 10.
    """
    words = ("--highlights", "clip", "--tone", "linear")
    plain, _ = picture(develop, dng, *words)
    wide, _ = picture(develop, dng, *words, "--colour-space", space, name="b.png")
    with Image.open("b.png") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    inside = (plain.min(axis=2) > 60) & (plain.max(axis=2) < 250)
    assert inside.mean() > 0.2
    assert np.abs(np.asarray(converted).astype(int) - plain)[inside].max() <= 2
    assert np.abs(wide.astype(int) - plain)[inside].max() > 10
