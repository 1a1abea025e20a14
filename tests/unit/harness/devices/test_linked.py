"""A device behind a link: states, records, cleanup after every kind of failure, hostile names."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError, InputError, JobError, RuntimeFailure
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.devices.base import (
    DeviceLostError,
    DeviceStateError,
    Placement,
    State,
)
from edge_pipeline.harness.devices.linked import WORK_PREFIX, LinkedDevice
from edge_pipeline.harness.devices.runners import ProcessRunner
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Plan
from edge_pipeline.record import Instructions
from tests.fakes.artifacts import make_artifact
from tests.fakes.local_link import FaultyLink, local_kind

QUICK = Settings(plan=Plan(runs=30, seconds=0, warmup=1))


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("linked") / "folded")


@pytest.fixture
def far(tmp_path):
    (tmp_path / "far").mkdir()
    return tmp_path / "far"


@pytest.fixture
def link(far):
    return FaultyLink(far)


@pytest.fixture
def device(link):
    return LinkedDevice("fake:1", link, local_kind())


def test_a_measurement_has_times_memory_and_verified_outputs(device, artifact, far, link):
    (record,) = bench([artifact.folder], device, QUICK)
    assert record.device == "fake:1"
    assert record.runner == "worker"
    assert len(record.samples_ms) == 30
    assert record.verification.result == "passed"
    assert record.memory.peak_bytes > 0
    assert record.versions["onnxruntime"]
    assert record.environment.host_processor_core_count == os.cpu_count()
    assert list(far.iterdir()) == []
    assert (device.state, link.open) == (State.IDLE, False)


def test_states_follow_each_other_and_misuse_is_refused(device, artifact):
    job = Job(artifact, "forward")
    for misuse in (device.describe, device.sensors, device.release, lambda: device.place(job)):
        with pytest.raises(DeviceStateError, match="fake:1 is idle"):
            misuse()
    device.acquire(Placement())
    with pytest.raises(DeviceStateError, match="is held; it must be idle"):
        device.acquire(Placement())
    worker = device.place(job)
    assert device.state is State.ACTIVE
    for misuse in (device.release, lambda: device.peak_memory(job)):
        with pytest.raises(DeviceStateError, match="is active"):
            misuse()
    worker.close()
    worker.close()
    assert device.instructions(job) is None
    device.release()
    assert device.state is State.IDLE


def test_an_artifact_is_copied_once_for_all_of_its_programs(device, tmp_path, link):
    split = make_artifact(tmp_path / "split", filters="split")
    records = bench([split.folder], device, QUICK)
    assert [record.verification.result for record in records] == ["passed", "passed"]
    scripts = [words for words in link.commands if words[0] == "sh" and "mv" in words[2]]
    renamed = [name for words in scripts for name in words[5::2]]
    assert len(renamed) == len(set(renamed)) == sum(p.is_file() for p in split.folder.rglob("*"))


@pytest.mark.parametrize("threads", [0, 5000])
def test_a_refused_placement_leaves_nothing(device, link, far, threads):
    with pytest.raises(InputError, match=f"on this device, got {threads}"):
        device.acquire(Placement(threads))
    assert (device.state, link.open, list(far.iterdir())) == (State.IDLE, False, [])


def test_runners_that_cannot_be_found_leave_nothing(link, far):
    def fail(_link):
        raise JobError("the board has no Python")

    device = LinkedDevice("fake:1", link, local_kind(runners=fail))
    with pytest.raises(JobError, match="no Python"):
        device.acquire(Placement())
    assert (device.state, link.open, list(far.iterdir())) == (State.IDLE, False, [])


def test_an_artifact_that_no_runner_runs_is_refused_with_reasons(link, artifact, far):
    runners = [
        ProcessRunner("first", ["true"], frozenset({"litert"})),
        ProcessRunner("second", ["true"], frozenset()),
    ]
    device = LinkedDevice("fake:1", link, local_kind(runners=lambda _link: runners))
    with pytest.raises(
        InputError, match=r"\(onnx\) cannot run on fake:1: first runs litert; second runs nothing"
    ):
        bench([artifact.folder], device, QUICK)
    assert list(far.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["false"], "ended with code 1"),
        (["sh", "-c", "kill -SEGV $$"], "was ended by signal 11"),
        (["sh", "-c", "echo hello; exec cat"], "answered 'hello'"),
        (["sh", "-c", "echo sorry >&2; exit 3"], "ended with code 3: sorry"),
        (["sh", "-c", """echo '{"error": "annotations", "message": "odd"}'"""], "^odd$"),
    ],
)
def test_a_runner_that_fails_is_told_and_leaves_nothing(link, artifact, far, words, message):
    runner = ProcessRunner("runner", words, frozenset({"onnx"}))
    device = LinkedDevice("fake:1", link, local_kind(runners=lambda _link: [runner]))
    with pytest.raises(RuntimeFailure, match=message):
        bench([artifact.folder], device, QUICK)
    assert (device.state, list(far.iterdir())) == (State.IDLE, [])


def test_a_runners_files_are_copied_and_made_executable(link, artifact, far, tmp_path):
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho \'{"error": "InputError", "message": "me"}\'\n')
    runner = ProcessRunner("runner", [], frozenset({"onnx"}), program)
    device = LinkedDevice("fake:1", link, local_kind(runners=lambda _link: [runner]))
    with pytest.raises(InputError, match=r"^me$"):
        bench([artifact.folder], device, QUICK)
    assert list(far.iterdir()) == []


def test_a_connection_that_ends_in_a_run_is_told_and_cleaned_up_after(link, artifact, far, device):
    device.acquire(Placement())
    worker = device.place(Job(artifact, "forward"))
    worker.load()
    remote = worker._far_id
    os.kill(worker.process_id, signal.SIGSTOP)  # it does not end by itself when its pipe does
    link.lost = True
    worker._process.stdin.close()
    worker._lines.put("")
    with pytest.raises(DeviceLostError, match="connection to the fake device ended"):
        worker.run(1)
    worker.close()
    assert not Path(f"/proc/{remote}").exists()
    device.release()
    assert list(far.iterdir()) == []
    assert link.connections == 2


def test_a_device_that_never_comes_back_is_released(link, artifact, far, device):
    device.acquire(Placement())
    link.lost, link.repairable = True, False
    with pytest.raises(DeviceLostError):
        device.place(Job(artifact, "forward"))
    device.release()
    assert (device.state, link.open) == (State.IDLE, False)
    assert len(list(far.iterdir())) == 1  # nothing can remove it now


def test_old_folders_are_removed_later_and_others_are_kept(link, far, device):
    old, new, other = (far / name for name in (f"{WORK_PREFIX}old", f"{WORK_PREFIX}new", "photos"))
    for folder in (old, new, other):
        folder.mkdir()
    day_before = time.time_ns() // 10**9 - 90_000
    for folder in (old, other):
        os.utime(folder, (day_before, day_before))
    device.acquire(Placement())
    device.release()
    assert sorted(far.iterdir()) == sorted([new, other])


def test_only_a_process_of_the_runner_is_ended(link, artifact, device):
    device.acquire(Placement())
    worker = device.place(Job(artifact, "forward"))
    mine = os.getpid()
    worker._far.kill(mine)  # as if the number had been given to another process
    remote = worker._far_id
    worker.close()
    assert not Path(f"/proc/{remote}").exists()
    device.release()


HOSTILE = "$(touch x) `id`; -rf 'a\"b' *|c&d\n~ \u202e\\"


def test_a_hostile_name_of_an_artifact_is_only_a_name(tmp_path, far, device):
    made = make_artifact(tmp_path / HOSTILE)
    (record,) = bench([made.folder], device, QUICK)
    assert record.verification.result == "passed"
    assert json.loads(record.model_dump_json())["artifact"] == str(tmp_path / HOSTILE)
    assert list(far.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["far", HOSTILE])


@pytest.mark.parametrize("name", ["-rf", "a b", "*", "~", "$HOME", "a\nb", "..."])
def test_an_artifact_is_copied_as_it_is(tmp_path, far, device, name):
    made = make_artifact(tmp_path / name)
    device.acquire(Placement())
    copy = Path(device._pushed(made))
    assert copy.is_relative_to(far)
    for path in made.folder.rglob("*"):
        if path.is_file():
            assert (copy / path.relative_to(made.folder)).read_bytes() == path.read_bytes()
    device.release()
    assert list(far.iterdir()) == []


def test_a_damaged_artifact_on_the_device_is_noticed_there(link, artifact, device):
    """The worker opens the artifact by its seal, as on this machine."""
    device.acquire(Placement())
    first = device.place(Job(artifact, "forward"))
    first.close()
    (model,) = Path(link.folder).rglob("forward.onnx")
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    with pytest.raises(ArtifactError, match="forward"):
        device.place(Job(Artifact.open(artifact.folder), "forward"))
    device.release()


def test_an_emulated_device_counts_instructions_and_has_no_times(link, artifact):
    found = Instructions(median=7, samples=(7, 7, 7), method="by hand")
    kind = local_kind(emulated=True, instructions=lambda _place: found)
    (record,) = bench([artifact.folder], LinkedDevice("fake:1", link, kind), QUICK)
    assert record.instructions == found
    assert (record.latency, record.memory, record.samples_ms) == (None, None, ())
    assert record.emulated
    assert "times mean nothing" in record.warnings[0]


def test_a_step_that_is_interrupted_leaves_nothing(link, artifact, far, device):
    def interrupt(words):
        if words[0] == "sh" and "mv" in words[2]:
            raise KeyboardInterrupt

    link.on_run = interrupt
    with pytest.raises(KeyboardInterrupt):
        bench([artifact.folder], device, QUICK)
    assert (device.state, link.open, list(far.iterdir())) == (State.IDLE, False, [])
