"""Several captures: nothing is lost, and one failure does not stop the rest."""

import errno
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.errors import CaptureError, JobError, exit_code
from edge_pipeline.gather import Found
from edge_pipeline.isp import batch as batch_module
from edge_pipeline.isp import output
from edge_pipeline.isp.batch import develop_all
from edge_pipeline.isp.develop import Developer
from edge_pipeline.isp.folder import plan
from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.profile import CameraProfile
from tests.fakes.artifacts import make_artifact

PROFILE = CameraProfile(width=16, height=12, bits=12, cfa="RGGB", wb=(1, 1, 1))
SETTINGS = Settings(profile=PROFILE)


@pytest.fixture(scope="module")
def developers(tmp_path_factory):
    """Two, that share a flag to stop; `run` uses the first unless told otherwise."""
    artifact = make_artifact(tmp_path_factory.mktemp("model") / "folded")
    with (
        Developer(artifact.folder, threads=1) as first,
        Developer(artifact.folder, threads=1) as second,
    ):
        yield [first, second]


@pytest.fixture
def captures(tmp_path):
    """Three captures, of which the second is truncated."""
    made = [tmp_path / f"{name}.raw" for name in "abc"]
    for i, path in enumerate(made):
        path.write_bytes(np.full(16 * 12, 100 * (i + 1), "<u2").tobytes())
    made[1].write_bytes(made[1].read_bytes()[:-1])
    return made


def run(jobs, developers, at_once=1, **options):
    options = {"sidecar": False, "force": False} | options
    return list(develop_all(jobs, developers[:at_once], SETTINGS, **options))


def planned(captures, output):
    return plan([Found(capture) for capture in captures], output)


def test_one_bad_file_amid_good_ones_fails_alone(captures, developers, tmp_path):
    outcomes = run(planned(captures, f"{tmp_path}/out"), developers)
    assert [o.error is None for o in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, CaptureError)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jpg", "c.jpg"]
    assert exit_code([o.error for o in outcomes if o.error]) == 2


def test_a_disk_that_fills_up_fails_one_picture_and_leaves_no_half_file(
    captures, developers, tmp_path, monkeypatch
):
    write, calls = output.write_jpeg, []

    def full_at_first(path, *words):
        calls.append(path)
        if len(calls) == 1:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, *words)

    monkeypatch.setattr(output, "write_jpeg", full_at_first)
    outcomes = run(planned(captures[::2], f"{tmp_path}/out"), developers)
    assert "No space left" in str(outcomes[0].error)
    assert outcomes[1].error is None
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["c.jpg"]


def test_an_unforeseen_failure_does_not_stop_the_rest(captures, developers, tmp_path, monkeypatch):
    true = batch_module.write_picture

    def broken_once(path, *args, **options):
        if path.stem == "a":
            raise ZeroDivisionError("by nought")
        true(path, *args, **options)

    monkeypatch.setattr(batch_module, "write_picture", broken_once)
    outcomes = run(planned(captures[::2], f"{tmp_path}/out"), developers)
    assert isinstance(outcomes[0].error, JobError)
    said = str(outcomes[0].error)
    assert said.startswith(f"{captures[0]}: unexpected error, a bug in this program; see ")
    assert "by nought" not in said
    assert "ZeroDivisionError: by nought" in Path(said.rpartition(" ")[2]).read_text()
    assert outcomes[1].error is None
    assert exit_code([o.error for o in outcomes if o.error]) == 1


def test_an_interrupt_does_stop_and_leaves_no_half_file(
    captures, developers, tmp_path, monkeypatch
):
    def interrupted(path, *_words):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(output, "write_jpeg", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(planned(captures, f"{tmp_path}/out"), developers)
    assert list((tmp_path / "out").iterdir()) == []


def test_existing_pictures_in_a_folder_are_skipped_and_the_rest_is_made(
    captures, developers, tmp_path
):
    jobs = planned(captures[::2], f"{tmp_path}/out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.jpg").write_bytes(b"precious")
    outcomes = run(jobs, developers)
    assert [(o.existed, o.error) for o in outcomes] == [(True, None), (False, None)]
    assert (tmp_path / "out/a.jpg").read_bytes() == b"precious"
    assert (tmp_path / "out/c.jpg").exists()
    outcomes = run(jobs, developers, force=True)
    assert not any(o.error or o.existed for o in outcomes)
    assert (tmp_path / "out/a.jpg").read_bytes() != b"precious"


def test_an_existing_file_that_was_named_is_refused(captures, developers, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"precious")
    (outcome,) = run(planned(captures[:1], f"{tmp_path}/a.jpg"), developers)
    assert "exists; give --force" in str(outcome.error)
    assert (tmp_path / "a.jpg").read_bytes() == b"precious"


def test_a_folder_and_a_broken_link_are_no_existing_pictures(captures, developers, tmp_path):
    (tmp_path / "out/a.jpg").mkdir(parents=True)
    (tmp_path / "out/c.jpg").symlink_to("nowhere")
    first, second = run(planned(captures[::2], f"{tmp_path}/out"), developers)
    assert "is a folder" in str(first.error)
    assert "c.jpg exists" in str(second.error)


def test_a_picture_that_another_command_wrote_meanwhile_exists(
    captures, developers, tmp_path, monkeypatch
):
    true = Developer.begin

    def late(self, *args, **options):
        (tmp_path / "out").mkdir()
        (tmp_path / "out/a.jpg").write_bytes(b"theirs")
        return true(self, *args, **options)

    monkeypatch.setattr(Developer, "begin", late)
    (outcome,) = run(planned(captures[:1], f"{tmp_path}/out"), developers)
    assert (outcome.existed, outcome.error) == (True, None)
    assert (tmp_path / "out/a.jpg").read_bytes() == b"theirs"


def test_a_sidecar_whose_picture_a_killed_batch_did_not_write_is_replaced(
    captures, developers, tmp_path
):
    jobs = planned(captures[::2], f"{tmp_path}/out")
    run(jobs, developers, sidecar=True)
    (tmp_path / "out/a.jpg").unlink()
    (tmp_path / "out/c.jpg").unlink()
    (tmp_path / "out/c.jpg.json").write_text('{"mine": 1}')
    first, second = run(jobs, developers, sidecar=True)
    assert first.error is None
    assert "c.jpg.json exists" in str(second.error)
    assert (tmp_path / "out/c.jpg.json").read_text() == '{"mine": 1}'


def test_two_at_once_write_what_one_writes(captures, developers, tmp_path):
    one = run(planned(captures, f"{tmp_path}/one"), developers)
    two = run(planned(captures, f"{tmp_path}/two"), developers, at_once=2)
    assert {o.job.capture: bool(o.error) for o in one} == {
        o.job.capture: bool(o.error) for o in two
    }
    for name in ("a.jpg", "c.jpg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_two_run_at_the_same_time(captures, developers, tmp_path, monkeypatch):
    """Each waits for the other, which would last forever one after the other."""
    true, both = Developer.begin, threading.Barrier(2, timeout=30)

    def together(self, *args, **options):
        both.wait()
        return true(self, *args, **options)

    monkeypatch.setattr(Developer, "begin", together)
    outcomes = run(planned(captures[::2], f"{tmp_path}/out"), developers, at_once=2)
    assert [o.error for o in outcomes] == [None, None]


def test_a_caller_that_stops_leaves_no_thread_and_no_file(captures, developers, tmp_path):
    many = [tmp_path / f"n{i}.raw" for i in range(40)]
    for path in many:
        path.write_bytes(captures[0].read_bytes())
    stop = threading.Event()
    batch = develop_all(
        planned(many, f"{tmp_path}/out"),
        developers,
        SETTINGS,
        sidecar=False,
        force=False,
        stop=stop,
    )
    next(batch)
    batch.close()
    assert stop.is_set()
    assert not [t for t in threading.enumerate() if t.name.startswith("develop")]
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert 1 <= len(made) < 40
    assert not [name for name in made if name.startswith(".")]


def test_an_existing_sidecar_is_seen_before_any_work(captures, developers, tmp_path, monkeypatch):
    (tmp_path / "a.png.json").write_text("mine")
    monkeypatch.setattr(Developer, "begin", None)
    outcomes = run(planned(captures[:1], f"{tmp_path}/a.png"), developers, sidecar=True)
    assert "a.png.json exists" in str(outcomes[0].error)


def test_bits_follow_the_format(captures, developers, tmp_path):
    run(planned(captures[:1], f"{tmp_path}/a.tif"), developers)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.tag_v2[258] == (16, 16, 16)


def test_notes_come_with_the_outcome(captures, developers, tmp_path):
    (outcome,) = run(planned(captures[:1], f"{tmp_path}/a.jpg"), developers)
    assert any("colours are not known" in note for note in outcome.notes)


def test_links_in_a_circle_fail_alone(captures, developers, tmp_path):
    loop = tmp_path / "loop.raw"
    loop.symlink_to(loop)
    outcomes = run(planned([loop, captures[0]], f"{tmp_path}/out"), developers)
    assert isinstance(outcomes[0].error, CaptureError)
    assert outcomes[1].error is None


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([], 0),
        ([CaptureError("x")], 2),
        ([CaptureError("x"), JobError("x")], 1),
        ([JobError("x")], 1),
    ],
)
def test_the_exit_code_tells(errors, code):
    assert exit_code(errors) == code
