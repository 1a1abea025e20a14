"""What `make test` leaves to `make slow` is covered by another case, and artifacts are shared."""

import pytest

from edge_pipeline.compiler import pipeline
from edge_pipeline.registry import BACKENDS
from tests.selection import PROFILES, examples, fast_or_slow
from tests.shared import SharedArtifacts

CASES = [(backend, form) for backend in ("onnx", "litert") for form in ("dynamic", "folded")]


def test_cases_outside_the_selection_are_slow():
    chosen = fast_or_slow(CASES, [("onnx", "dynamic"), ("litert", "folded")])
    assert [case.values for case in chosen] == CASES
    assert [bool(case.marks) for case in chosen] == [False, True, True, False]


def test_a_value_without_a_fast_case_is_refused():
    with pytest.raises(ValueError, match="no fast case has 'litert'"):
        fast_or_slow(CASES, [("onnx", "dynamic"), ("onnx", "folded")])
    fast_or_slow(CASES, [("onnx", "dynamic"), ("onnx", "folded")], uncovered=("litert",))


def test_a_fast_case_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no such case"):
        fast_or_slow(CASES, [("onnx", "split")])


def test_a_search_has_fewer_examples_unless_all_are_asked_for():
    thorough = examples(40).max_examples == 40
    assert examples(40, 5).max_examples == (40 if thorough else 5)
    assert examples(3).max_examples == 3
    assert PROFILES["fast"] < PROFILES["thorough"]


def test_equal_requests_are_compiled_once(tmp_path, monkeypatch, small_isp):
    pytest.importorskip("torch", reason="compiling needs torch")
    from edge_pipeline.compiler import compile as compiling

    monkeypatch.setitem(BACKENDS._modules, "fake", "tests.fakes.backend")
    monkeypatch.setitem(pipeline.PIPELINES, "fake", ())
    compiled, real = [], compiling.compile_model
    monkeypatch.setattr(
        compiling, "compile_model", lambda request: [compiled.append(request), real(request)][1]
    )
    for process in range(2):  # as two workers would
        shared = SharedArtifacts(tmp_path / "artifacts")
        first = shared(source=small_isp, backend="fake", size=(32, 48))
        assert len(compiled) == 1 + process
        other = shared(source=small_isp, backend="fake", size=(32, 48), seed=1 + process)
        assert first.digest != other.digest
        assert len(compiled) == 2 + process
