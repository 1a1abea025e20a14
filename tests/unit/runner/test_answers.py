"""edge_runner answers as the Python worker does, and its outputs are those of the network."""

import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.numpy
from onnx import numpy_helper

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.harness.devices.this_machine import host_worker
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.machine import allowed_cpus
from edge_pipeline.record import MemoryDetail
from tests.fakes.artifacts import make_artifact
from tests.unit.runner.conftest import request_of, reseal

PRETRAINED = Path(__file__).resolve().parents[3] / "calibration" / "pretrained"
ISP, NUCLEI = PRETRAINED / "isp_default" / "artifact", PRETRAINED / "phi_unet_nuclei" / "artifact"
TOLERANCE = 1e-5
"""Largest difference, relative to the largest value: RTen adds products in another order."""


def outputs_of(runner, folder, program, path, **request):
    answers, code = runner(
        request_of(folder, program, **request), "load", "run 1", f"outputs {path}"
    )
    assert code == 0, answers
    assert answers[-1] == {"outputs": str(path)}
    return safetensors.numpy.load_file(path)


def assert_near(found, expected):
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert np.abs(found[name] - value).max() <= TOLERANCE * max(1, np.abs(value).max()), name


@pytest.mark.parametrize(
    ("folder", "program"),
    [(ISP, "forward"), (ISP, "predict_filters"), (ISP, "maps_1"), (ISP, "filters_1"),
     (NUCLEI, "forward")],
    ids=["isp", "filters", "maps", "pooled", "nuclei"],
)  # fmt: skip
def test_the_outputs_are_those_of_the_network(runner, tmp_path, folder, program):
    _, expected = Artifact.open(folder).reference(program)
    assert_near(outputs_of(runner, folder, program, tmp_path / "o"), expected)


@pytest.mark.parametrize("size", [(52, 60), (200, 56)])
def test_the_outputs_are_those_of_the_reference_at_every_size_of_the_runs(runner, tmp_path, size):
    _, expected = Artifact.open(ISP).reference("forward")
    found = outputs_of(runner, ISP, "forward", tmp_path / "o", size=size, threads=2)
    assert_near(found, expected)


def test_the_tolerance_catches_a_wrong_weight(runner, tmp_path):
    folder = make_artifact(tmp_path / "a").folder
    _, expected = Artifact.open(folder).reference("forward")
    assert_near(outputs_of(runner, folder, "forward", tmp_path / "o"), expected)
    model = onnx.load(folder / "forward.onnx")
    [kernel] = [one for one in model.graph.initializer if one.name == "kernel"]
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel) * 1.0001, "kernel"))
    (folder / "forward.onnx").write_bytes(model.SerializeToString())
    reseal(folder)
    with pytest.raises(AssertionError):
        assert_near(outputs_of(runner, folder, "forward", tmp_path / "o"), expected)


def test_the_answers_have_the_fields_of_the_python_worker(runner, tiny):
    orders = ["load", "run 2", "memory"]
    worker = host_worker(Job(Artifact.open(tiny), "forward"), threads=1, cpus=None)
    try:
        expected = [worker.ask(order) for order in orders]
    finally:
        worker.close()
    (ready, *found), code = runner(request_of(tiny), *orders)
    assert (ready["ready"], code) == (True, 0)
    assert ready["process_id"] > 0
    for mine, theirs in zip(found, expected, strict=True):
        assert {name: type(value) for name, value in mine.items()} == {
            name: type(value) for name, value in theirs.items()
        }
    assert found[0]["init_ns"] > 0
    assert all(elapsed > 0 for elapsed, _ in found[1]["runs"])
    memory = MemoryDetail.model_validate(found[2]["memory"])
    assert memory.peak_rss_bytes >= memory.baseline_bytes > 0


def test_the_versions_name_the_engine_that_computes(runner, tiny):
    (_, loaded), _ = runner(request_of(tiny), "load")
    assert loaded["versions"]["rten"]
    assert "onnxruntime" not in loaded["versions"]


def test_several_runs_have_one_answer(runner, tiny):
    (_, _, answer), _ = runner(request_of(tiny), "load", "run 7")
    assert list(answer) == ["runs"]
    assert len(answer["runs"]) == 7
    assert all(elapsed > 0 and preemptions >= 0 for elapsed, preemptions in answer["runs"])


def test_it_runs_on_a_processor_of_choice(runner, tiny):
    answers, code = runner(request_of(tiny, cpus=allowed_cpus()[:1]), "load", "run 1")
    assert code == 0, answers


def test_only_the_files_of_the_program_are_necessary(runner, tmp_path):
    names = ["manifest.json", "manifest.sha256", "maps_1.onnx", "maps_1.onnx.data"]
    for name in [*names, "predict_filters.onnx.data", "maps_1.reference.safetensors"]:
        (tmp_path / name).write_bytes((ISP / name).read_bytes())
    answers, code = runner(request_of(tmp_path, "maps_1"), "load", "run 1")
    assert code == 0, answers


def test_without_a_request_it_ends_quietly(runner):
    done = subprocess.run(runner.command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
