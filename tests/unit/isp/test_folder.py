"""Several captures: nothing is lost, and one failure does not stop the rest."""

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.errors import CaptureError, InputError, JobError, OutputError
from edge_pipeline.isp import folder as folder_module
from edge_pipeline.isp import output
from edge_pipeline.isp.develop import Developer, Settings
from edge_pipeline.isp.folder import Job, Outcome, develop_all, exit_code, plan
from edge_pipeline.raw.profile import CameraProfile
from tests.fakes.artifacts import make_artifact

PROFILE = CameraProfile(width=16, height=12, bits=12, cfa="RGGB", wb=(1, 1, 1))
SETTINGS = Settings(profile=PROFILE)


@pytest.fixture(scope="module")
def developer(tmp_path_factory):
    artifact = make_artifact(tmp_path_factory.mktemp("model") / "folded")
    with Developer(artifact.folder, threads=1) as opened:
        yield opened


@pytest.fixture
def captures(tmp_path):
    """Three captures, of which the second is truncated."""
    made = [tmp_path / f"{name}.raw" for name in "abc"]
    for i, path in enumerate(made):
        path.write_bytes(np.full(16 * 12, 100 * (i + 1), "<u2").tobytes())
    made[1].write_bytes(made[1].read_bytes()[:-1])
    return made


def run(jobs, developer, **options):
    options = {"sidecar": False, "force": False} | options
    return list(develop_all(jobs, developer, SETTINGS, **options))


def test_one_bad_file_amid_good_ones_fails_alone(captures, developer, tmp_path):
    outcomes = run(plan(captures, f"{tmp_path}/out"), developer)
    assert [o.error is None for o in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, CaptureError)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jpg", "c.jpg"]
    assert exit_code(outcomes) == 2


def test_a_disk_that_fills_up_fails_one_picture_and_leaves_no_half_file(
    captures, developer, tmp_path, monkeypatch
):
    save, calls = Image.Image.save, []

    def full_at_first(self, path, **options):
        calls.append(path)
        if len(calls) == 1:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path, **options)

    monkeypatch.setattr(output.Image.Image, "save", full_at_first)
    outcomes = run(plan(captures[::2], f"{tmp_path}/out"), developer)
    assert "No space left" in str(outcomes[0].error)
    assert outcomes[1].error is None
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["c.jpg"]


def test_an_unforeseen_failure_does_not_stop_the_rest(captures, developer, tmp_path, monkeypatch):
    true = folder_module.write_picture

    def broken_once(path, *args, **options):
        if path.stem == "a":
            raise ZeroDivisionError("by nought")
        true(path, *args, **options)

    monkeypatch.setattr(folder_module, "write_picture", broken_once)
    outcomes = run(plan(captures[::2], f"{tmp_path}/out"), developer)
    assert isinstance(outcomes[0].error, JobError)
    assert "unexpected ZeroDivisionError" in str(outcomes[0].error)
    assert outcomes[1].error is None
    assert exit_code(outcomes) == 1


def test_an_interrupt_does_stop_and_leaves_no_half_file(captures, developer, tmp_path, monkeypatch):
    def interrupted(self, path, **_options):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(output.Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(plan(captures, f"{tmp_path}/out"), developer)
    assert list((tmp_path / "out").iterdir()) == []


def test_existing_pictures_are_kept_and_the_rest_is_made(captures, developer, tmp_path):
    jobs = plan(captures[::2], f"{tmp_path}/out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.jpg").write_bytes(b"precious")
    outcomes = run(jobs, developer)
    assert "exists; give --force" in str(outcomes[0].error)
    assert (tmp_path / "out/a.jpg").read_bytes() == b"precious"
    assert (tmp_path / "out/c.jpg").exists()
    assert all(o.error is None for o in run(jobs, developer, force=True))
    assert (tmp_path / "out/a.jpg").read_bytes() != b"precious"


def test_an_existing_sidecar_is_seen_before_any_work(captures, developer, tmp_path, monkeypatch):
    (tmp_path / "a.png.json").write_text("mine")
    monkeypatch.setattr(Developer, "develop", None)
    outcomes = run(plan(captures[:1], f"{tmp_path}/a.png"), developer, sidecar=True)
    assert "a.png.json exists" in str(outcomes[0].error)


def test_bits_follow_the_format(captures, developer, tmp_path):
    run(plan(captures[:1], f"{tmp_path}/a.tif"), developer)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.tag_v2[258] == (16, 16, 16)


def test_notes_come_with_the_outcome(captures, developer, tmp_path):
    (outcome,) = run(plan(captures[:1], f"{tmp_path}/a.jpg"), developer)
    assert any("colours are not known" in note for note in outcome.notes)


def test_a_name_without_extension_or_with_a_slash_is_a_folder(tmp_path):
    capture = Path("x.dng")
    (tmp_path / "v1.5").mkdir()
    for given in (f"{tmp_path}/new", f"{tmp_path}/new.d/", f"{tmp_path}/v1.5"):
        (job,) = plan([capture], given, format_name="tiff")
        assert job == Job(capture, Path(given) / "x.tiff")


@pytest.mark.parametrize(
    ("captures", "target", "options", "said"),
    [
        (["a/x.dng", "b/x.dng"], "out", {}, "a/x.dng and b/x.dng would both become out/x.jpg"),
        (["x.dng", "x.nef"], "out", {}, "would both become out/x.jpg"),
        (["x.dng", "X.dng"], "out", {}, "would both become"),
        (["x.dng", "x.dng"], "out", {}, "would both become"),
        (["a.dng", "b.dng"], "c.jpg", {}, "2 captures cannot go into the one file c.jpg"),
        (["a.dng"], "c.webp", {}, "the extension '.webp'; expected one of .jpg, .png"),
        (["a.dng"], "c.png", {"format_name": "jpg"}, "c.png is a png by its extension"),
        (["a.dng"], "out", {"format_name": "gif"}, "no picture format is called 'gif'"),
        (["a.tiff"], "a.tiff", {}, "a.tiff is a capture to develop and cannot be written"),
        (["./d/../a.tiff", "b.dng"], ".", {"format_name": "tiff"}, "a.tiff is a capture"),
        (["a.dng"], "", {}, "the output has no name"),
        (["a.dng"], "d/.jpg", {}, "d/.jpg is an extension without a name; give picture.jpg"),
        (["a.dng"], "a" * 300, {}, "File name too long"),
        (["a.dng"], f"{'a' * 300}.jpg", {}, "File name too long"),
        ([], "out", {}, "no capture"),
    ],
)
def test_plans_that_would_lose_something_are_refused(
    tmp_path, monkeypatch, captures, target, options, said
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said.replace(".", r"\.")):
        plan([Path(capture) for capture in captures], target, **options)


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        plan([Path("x.dng")], f"{tmp_path}/out")


def test_links_in_a_circle_fail_alone(captures, developer, tmp_path):
    loop = tmp_path / "loop.raw"
    loop.symlink_to(loop)
    outcomes = run(plan([loop, captures[0]], f"{tmp_path}/out"), developer)
    assert isinstance(outcomes[0].error, CaptureError)
    assert outcomes[1].error is None


def test_a_link_to_a_capture_counts_as_the_capture(tmp_path):
    capture = tmp_path / "a.dng"
    capture.write_bytes(b"raw")
    (tmp_path / "out.jpg").symlink_to(capture)
    with pytest.raises(OutputError, match="is a capture to develop"):
        plan([capture], f"{tmp_path}/out.jpg")


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([None, None], 0),
        ([None, CaptureError("x")], 2),
        ([JobError("x"), CaptureError("x")], 1),
        ([JobError("x"), None], 1),
    ],
)
def test_the_exit_code_tells(errors, code):
    job = Job(Path("a"), Path("b"))
    assert exit_code([Outcome(job, error) for error in errors]) == code
