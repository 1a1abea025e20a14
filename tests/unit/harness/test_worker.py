"""What a worker answers, asked in this process; test_host.py asks over the pipe."""

import gc
import itertools
import time

import pytest

import edge_pipeline.runtime.onnx as onnx_runtime
from edge_pipeline.errors import ArtifactError
from edge_pipeline.harness.worker import Server
from tests.fakes.artifacts import make_artifact


@pytest.fixture(autouse=True)
def _collector():
    yield
    gc.enable()


@pytest.fixture
def request_of(tmp_path):
    folder = str(make_artifact(tmp_path / "a").folder)
    return {"artifact": folder, "program": "forward", "size": None, "threads": 1}


def test_importing_the_runtime_is_not_part_of_init(request_of, monkeypatch):
    real = onnx_runtime.preload
    first = itertools.count()

    def slow_at_first():
        if next(first) == 0:
            time.sleep(0.5)
        return real()

    monkeypatch.setattr(onnx_runtime, "preload", slow_at_first)
    answer = Server(request_of).answer("load")
    assert answer["import_ns"] > 0.5e9
    assert 0 < answer["init_ns"] < 0.4e9
    assert answer["versions"]["onnxruntime"]


def test_a_run_is_timed_around_the_runtimes_call(request_of, monkeypatch):
    server = Server(request_of)
    server.answer("load")
    inner = server._session.run

    def slow(inputs):
        time.sleep(0.2)
        return inner(inputs)

    monkeypatch.setattr(server._session, "run", slow)
    ((elapsed, _),) = server.answer("run 1")["runs"]
    assert 0.2e9 < elapsed < 0.5e9


def test_the_collector_does_not_strike_in_a_run(request_of):
    Server(request_of).answer("load")
    assert not gc.isenabled()


def test_memory_parts_are_of_one_process(request_of):
    memory = Server(request_of).answer("memory")["memory"]
    parts = memory["baseline_bytes"] + memory["runtime_bytes"] + memory["program_bytes"]
    assert parts == pytest.approx(memory["peak_rss_bytes"], rel=0.1)
    assert memory["method"]


def test_a_program_that_is_not_there_is_refused(request_of):
    with pytest.raises(ArtifactError, match="apply_filters"):
        Server(request_of | {"program": "apply_filters"})
