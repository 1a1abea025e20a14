"""`edge-pipeline develop` corrects hot pixels and fringes, says so, and can leave both."""

import json

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.cli.main import main
from edge_pipeline.files import packaged
from edge_pipeline.isp.develop import DEFAULT_MODEL
from tests.fakes.artifacts import make_artifact

SIDE = 96
PROFILE = [
    *("--width", str(SIDE), "--height", str(SIDE), "--bits", "12", "--cfa", "rggb"),
    *("--black", "64", "--white", "4095"),
]
PLACES = [(0, 0), (95, 95), (40, 41), (41, 60), (60, 40), (73, 77)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_artifact(tmp_path_factory.mktemp("model") / "folded", filters="folded").folder)


@pytest.fixture
def run(tmp_path, model, capsys):
    """Develop a flat noisy capture; gives exit code, messages, picture and sidecar."""

    def develop(*options, hot=PLACES):
        noise = 8 * np.random.default_rng(0).standard_normal((SIDE, SIDE))
        mosaic = np.rint(800 + noise).astype("<u2")
        mosaic[8:24, 8:24] = 3300
        for row, column in hot:
            mosaic[row, column] = 4095
        mosaic.tofile(tmp_path / "a.raw")
        words = [str(tmp_path / "a.raw"), "-o", str(tmp_path / "a.png"), "--sidecar", "--force"]
        code = main(["develop", *words, *PROFILE, "--model", model, "--threads", "1", *options])
        err = capsys.readouterr().err
        if code:
            return code, err, None, None
        sidecar = json.loads((tmp_path / "a.png.json").read_text())
        return code, err, np.asarray(Image.open(tmp_path / "a.png")).astype(int), sidecar

    return develop


def test_hot_pixels_are_repaired_and_counted(run):
    clean = run(hot=[])[2]
    code, err, picture, sidecar = run()
    assert code == 0
    assert sidecar["corrections"]["hot_pixels"] == len(PLACES)
    assert sidecar["corrections"]["dead_pixels"] == 0
    assert sidecar["settings"]["hot_pixels"] == "on"
    assert abs(picture - clean).max() <= 8
    assert "hot or dead" not in err


def test_off_leaves_them(run):
    clean = run(hot=[])[2]
    _, _, picture, sidecar = run("--hot-pixels", "off", "--fringes", "off")
    assert abs(picture - clean).max() > 40
    assert sidecar["corrections"] == {"hot_pixels": None, "dead_pixels": None, "fringes": None}


def test_many_hot_pixels_are_noted(run):
    many = [(row, column) for row in range(4, 96, 12) for column in range(5, 96, 13)]
    _, err, _, sidecar = run(hot=many)
    assert "hot or dead pixels were repaired" in " ".join(err.split())
    assert sidecar["corrections"]["hot_pixels"] >= 0.97 * len(many)


def test_fringes_are_measured_and_too_little_is_not_corrected(run):
    fringes = run()[3]["corrections"]["fringes"]
    assert not fringes["red"]["corrected"]
    assert not fringes["blue"]["corrected"]
    assert run()[3]["settings"]["fringes"] == "auto"


@pytest.mark.parametrize(
    ("option", "words"),
    [("--hot-pixels", "give on or off"), ("--fringes", "give auto or off")],
)
def test_another_value_is_refused(run, option, words):
    code, err, _, _ = run(option, "maybe")
    assert code == 2
    assert "'maybe'" in err
    assert words in " ".join(err.split())


def test_a_hot_pixel_does_not_change_the_exposure(run):
    """At the white level, it would hide that LibRaw's rule brightens the rest of the capture."""
    clean, bad, kept = run(hot=[])[3], run()[3], run("--hot-pixels", "off")[3]
    assert clean["base_exposure_ev"] > 0.2
    assert bad["base_exposure_ev"] == clean["base_exposure_ev"]
    assert kept["base_exposure_ev"] == 0


def test_filters_from_the_capture_itself_are_those_of_the_corrected_capture(run, tmp_path):
    many = [(row, column) for row in range(4, 96, 12) for column in range(5, 96, 13)]
    shipped = ("--model", str(packaged("calibration") / DEFAULT_MODEL))
    own = run(*shipped, hot=many)[2]
    same = run(*shipped, "--filters-from", str(tmp_path / "a.raw"), hot=many)[2]
    assert np.array_equal(same, own)
