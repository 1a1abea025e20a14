"""Turned captures, and those that cannot be developed: settings, sizes, memory."""

from pathlib import Path

import numpy as np
import pytest

from edge_pipeline.errors import ArtifactError, InputError, JobError
from edge_pipeline.isp import develop as develop_module
from edge_pipeline.isp import rendering
from edge_pipeline.isp.develop import Developer
from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.capture import Capture, CaptureExif
from tests.fakes.headerless import headerless, noise, profile_of


def stand_in(monkeypatch, **fields):
    """Make the reader of RAW files give a capture with these fields."""
    usual = {
        "mosaic": np.full((8, 8), 9, np.uint16),
        "pattern": "RGGB",
        "black": (0, 0, 0, 0),
        "white": 4095,
        "wb": (1, 1, 1),
        "daylight_wb": None,
        "xyz_to_camera": None,
        "orientation": 1,
        "exif": CaptureExif(),
        "source": Path("a.dng"),
    }
    capture = Capture(**(usual | fields))
    monkeypatch.setattr(develop_module, "read_capture", lambda *_args, **_options: capture)
    monkeypatch.setattr(develop_module, "sha256_of", lambda _path: "0" * 64)


@pytest.mark.parametrize("size", ["full", "half"])
@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, -1), (8, 1)])
def test_turned_captures_come_out_upright(developer, monkeypatch, size, orientation, turns):
    mosaic = noise(22, 31).astype(np.uint16)
    stand_in(monkeypatch, mosaic=mosaic)
    as_it_lay = developer.develop("a.dng", Settings(size=size)).rgb
    stand_in(monkeypatch, mosaic=mosaic, orientation=orientation)
    upright = developer.develop("a.dng", Settings(size=size))
    np.testing.assert_array_equal(upright.rgb, np.rot90(as_it_lay, turns))
    size = upright.info["picture"]
    assert (size["height"], size["width"]) == upright.rgb.shape[:2]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_captures_under_a_bayer_cell_are_refused(developer, monkeypatch, shape):
    """No profile describes one, so a reader that finds one stands in."""
    stand_in(monkeypatch, mosaic=np.full(shape, 9, np.uint16))
    with pytest.raises(InputError, match="no whole Bayer cell"):
        developer.develop("a.dng", Settings())


def test_running_out_of_memory_is_a_failed_job(developer, folder, monkeypatch):
    def exhausted(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr(rendering, "Signal", exhausted)
    mosaic = noise(8, 8)
    with pytest.raises(JobError, match="not enough memory to develop"):
        developer.develop(headerless(folder, mosaic), Settings(profile=profile_of(mosaic)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"exposure_ev": float("nan")}, "nan EV; give -16 to 16"),
        ({"exposure_ev": 17.0}, "17.0 EV"),
        ({"size": "third"}, "'third'; give full or half"),
        ({"bits": 10}, "10 bits per channel"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, said):
    with pytest.raises(InputError, match=said):
        Settings(**fields)


def test_a_folder_that_is_no_artifact_is_refused(tmp_path):
    with pytest.raises(ArtifactError):
        Developer(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout_s": 0}, "timeout is 0"),
        ({"timeout_s": float("nan")}, "timeout is nan"),
        ({"timeout_s": float("inf")}, "timeout is inf s; give more than 0 and at most 86400"),
        ({"threads": 0}, "threads must be from 1 to 512, got 0"),
        ({"threads": 100_000}, "threads must be from 1 to 512, got 100000"),
    ],
)
def test_developers_that_cannot_work_are_refused(models, options, said):
    with pytest.raises(InputError, match=said):
        Developer(models["folded"], **options)


@pytest.mark.parametrize("quality", [0, 101, -1])
def test_qualities_are_limited(quality):
    with pytest.raises(InputError, match=f"the JPEG quality is {quality}; give 1 to 100"):
        Settings(quality=quality)
