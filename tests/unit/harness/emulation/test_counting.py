"""Instructions from the plugin's marks, and the emulated machine itself if it is prepared."""

import shutil
from dataclasses import replace

import pytest

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.harness.bench import bench
from edge_pipeline.harness.devices.base import Placement, State
from edge_pipeline.harness.devices.emulator import attached, open_device
from edge_pipeline.harness.emulation.counting import (
    _differences,
    build_plugin,
    plugin_words,
    read_marks,
)
from edge_pipeline.harness.emulation.place import read_prepared
from edge_pipeline.harness.emulation.prepare import missing_programs, prepare
from edge_pipeline.harness.job import Job
from tests.fakes.artifacts import make_artifact


def _problem():
    try:
        found = missing_programs()
        if found is None:
            read_prepared()
    except InputError as error:
        return str(error)
    return found


PROBLEM = _problem()
emulated = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))


def test_a_run_is_counted_without_the_calls():
    marks = [100, 130, 1160, 2000, 2030, 3062]
    assert _differences(marks, 2) == (1000, 1002)


@pytest.mark.parametrize("marks", [[], [1, 2], [100, 130, 160], [100, 130, 150]])
def test_missing_marks_and_empty_runs_are_refused(marks):
    with pytest.raises(JobError, match="the emulator counted"):
        _differences(marks, 1)


def test_a_file_without_counts_is_refused(tmp_path):
    with pytest.raises(JobError, match="wrote no counts"):
        read_marks(tmp_path / "none")
    (tmp_path / "bad").write_text("12\nx\n")
    with pytest.raises(JobError, match="wrote no counts"):
        read_marks(tmp_path / "bad")


def test_commas_in_paths_do_not_end_qemus_options(tmp_path):
    assert plugin_words(tmp_path / "a,b.so", tmp_path / "c,d")[1] == (
        f"{tmp_path}/a,,b.so,out={tmp_path}/c,,d"
    )


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_plugin_is_built_for_the_first_version_that_is_accepted(tmp_path):
    answers = iter([False, False, True])
    build_plugin(tmp_path / "a.so", lambda: next(answers))
    assert next(answers, None) is None
    assert (tmp_path / "a.so").read_bytes()[:4] == b"\x7fELF"
    with pytest.raises(JobError, match="accepts no plugin"):
        build_plugin(tmp_path / "a.so", lambda: False)


@emulated
def test_an_artifact_computes_the_right_outputs_on_arm(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "")  # this machine's libraries are not the emulated one's
    made = make_artifact(tmp_path / "a b,c")
    device = open_device()
    (record,) = bench([made.folder], device)
    assert record.emulated
    assert (record.device, record.verification.result) == ("emulator", "passed")
    assert (record.latency, record.memory) == (None, None)
    assert record.environment.host_processor_model_name == "Cortex-A76 (emulated)"
    assert record.versions["onnxruntime"] == read_prepared().wheels["onnxruntime"]
    samples = record.instructions.samples
    assert len(samples) >= 3
    assert max(samples) <= 1.1 * min(samples)  # threads that wait add some to a small program
    assert record.instructions.median in samples
    assert device.state is State.IDLE


@emulated
@pytest.mark.slow
def test_a_larger_picture_takes_more_instructions(tmp_path):
    made = make_artifact(tmp_path / "a", filters="dynamic")
    device = open_device()
    device.acquire(Placement())
    small, large = (
        device.instructions(Job(made, "forward", size)).median for size in ((32, 32), (128, 128))
    )
    device.release()
    assert large > 4 * small


@emulated
def test_a_machine_in_use_is_not_prepared_again():
    device = open_device()
    device.acquire(Placement())
    try:
        with pytest.raises(InputError, match="being used or prepared by another process"):
            prepare()
        with pytest.raises(InputError, match=r"no faster and slower cores, got 'big'"):
            open_device().acquire(Placement(cores="big"))
    finally:
        device.release()
    (listed,) = attached()
    assert set(listed.backends) == {"litert", "onnx"}
    assert listed.problem is None


@emulated
def test_another_backend_is_refused_before_anything_starts(tmp_path):
    made = make_artifact(tmp_path / "a")
    manifest = made.manifest.model_copy(update={"backend": "executorch"})
    device = open_device()
    device.acquire(Placement())
    try:
        with pytest.raises(InputError, match=r"cannot run on emulator: .* runs litert, onnx"):
            device.place(Job(replace(made, manifest=manifest), "forward"))
    finally:
        device.release()
