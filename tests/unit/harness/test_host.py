"""The host device: states, pinning, real artifacts, and workers that fail or die."""

import json
import os
import signal
from dataclasses import replace

import pytest

from edge_pipeline.errors import InputError, MissingExtraError, RuntimeFailure
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.devices.base import DeviceStateError, Placement, State
from edge_pipeline.harness.devices.host import open_device
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Plan
from tests.fakes.artifacts import make_artifact

QUICK = Settings(plan=Plan(runs=30, seconds=0, warmup=1))


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("host") / "folded", filters="folded")


@pytest.fixture
def held():
    device = open_device()
    device.acquire(Placement())
    return device


def test_a_device_goes_from_idle_to_held_to_active_and_back(folded):
    device = open_device()
    assert device.state is State.IDLE
    device.acquire(Placement())
    assert device.state is State.HELD
    worker = device.place(Job(folded, "forward"))
    assert device.state is State.ACTIVE
    worker.close()
    worker.close()
    assert device.state is State.HELD
    device.release()
    assert device.state is State.IDLE


def test_an_idle_device_does_nothing(folded):
    job = Job(folded, "forward")
    for misuse in (
        open_device().describe,
        open_device().warnings,
        open_device().release,
        lambda: open_device().place(job),
        lambda: open_device().peak_memory(job),
    ):
        with pytest.raises(DeviceStateError, match="is idle"):
            misuse()


def test_a_held_device_is_not_acquired_again(held):
    with pytest.raises(DeviceStateError, match="is held"):
        held.acquire(Placement())


def test_an_active_device_neither_measures_memory_nor_is_released(held, folded):
    job = Job(folded, "forward")
    worker = held.place(job)
    try:
        with pytest.raises(DeviceStateError, match="is active"):
            held.peak_memory(job)
        with pytest.raises(DeviceStateError, match="is active"):
            held.release()
    finally:
        worker.close()


@pytest.mark.parametrize("threads", [-1, 0, 100_000])
def test_threads_that_cannot_be_pinned_are_refused(threads):
    device = open_device()
    with pytest.raises(InputError, match=str(threads)):
        device.acquire(Placement(threads=threads))
    assert device.state is State.IDLE


def test_a_worker_is_pinned_where_the_device_says(held, folded):
    worker = held.place(Job(folded, "forward"))
    try:
        worker.load()
        worker.run(1)
        affinity = os.sched_getaffinity(worker.process_id)
    finally:
        worker.close()
    assert affinity == set(held.describe().pinned_cpus)
    assert len(affinity) == 1


def test_a_killed_worker_is_a_failure_with_the_signal(held, folded):
    worker = held.place(Job(folded, "forward"))
    worker.load()
    os.kill(worker.process_id, signal.SIGSEGV)
    with pytest.raises(RuntimeFailure, match=r"forward was ended by signal 11"):
        worker.run(1)
    assert held.state is State.HELD
    worker.close()


def test_an_unexpected_error_of_a_worker_is_told(held, folded):
    worker = held.place(Job(folded, "forward"))
    with pytest.raises(RuntimeFailure, match="run before load"):
        worker.run(1)
    worker.close()


def test_a_workers_refusal_keeps_its_kind(held, folded):
    with pytest.raises(InputError, match="100x100") as caught:
        held.place(Job(folded, "forward", (100, 100)))
    assert not isinstance(caught.value, MissingExtraError)
    assert held.state is State.HELD


def test_every_program_gets_a_record(tmp_path, folded):
    split = make_artifact(tmp_path / "split", filters="split")
    records = bench([folded.folder, split.folder], open_device(), QUICK)
    assert [record.program for record in records] == ["forward", "predict_filters", "apply_filters"]
    for record in records:
        assert len(record.samples_ms) == 30
        assert min(record.samples_ms) > 0
        assert record.verification.result == "passed"
        assert record.session == records[0].session
        assert record.runner == "edge_pipeline.harness.worker"
        assert record.macs is not None
        assert record.versions["onnxruntime"]
        detail = record.memory_detail
        assert record.memory.peak_bytes == detail.runtime_bytes + detail.program_bytes > 0
    assert records[0].artifact_digest == folded.digest
    assert json.loads(records[0].model_dump_json())["environment"]["pinned_cpus"]


def test_a_larger_picture_takes_longer_and_more_memory(folded):
    (small,) = bench([folded.folder], open_device(), replace(QUICK, size=(32, 32)))
    (large,) = bench([folded.folder], open_device(), replace(QUICK, size=(512, 512)))
    assert large.latency.min_ms > 5 * small.latency.min_ms
    # The result alone is 3 x 1024 x 1024 floats.
    grown = large.memory_detail.program_bytes - small.memory_detail.program_bytes
    assert grown > 3 * 1024 * 1024 * 4
    assert large.input_shapes == {"packed": (1, 4, 512, 512)}
    assert (small.macs is None, large.macs) == (False, None)


def test_a_failure_leaves_the_device_idle(folded):
    device = open_device()
    with pytest.raises(InputError, match="48x17"):
        bench([folded.folder], device, Settings(size=(48, 17)))
    with pytest.raises(InputError, match="threads"):
        bench([folded.folder], device, Settings(placement=Placement(100_000)))
    assert device.state is State.IDLE
