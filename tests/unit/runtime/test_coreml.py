"""Core ML's sessions: evaluated here, run by Core ML on a Mac (which a stand-in plays)."""

import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip("coremltools", reason="the coreml extra is not installed")

import numpy as np
import torch

from edge_pipeline.errors import InputError, MissingExtraError, RuntimeFailure
from edge_pipeline.runtime import coreml as runtime
from tests.fakes.coreml import emitted, spec_of, written

SHAPE = (1, 2, 3, 4)
SPEC = spec_of({"x0": SHAPE, "x1": SHAPE}, {"y": SHAPE})
INPUTS = {"x0": np.full(SHAPE, 3, np.float32), "x1": np.full(SHAPE, 2, np.float32)}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    files = emitted(lambda a, b: a * 2 - b, torch.rand(SHAPE), torch.rand(SHAPE))
    return written(files, tmp_path_factory.mktemp("coreml"))


@pytest.mark.skipif(sys.platform == "darwin", reason="on a Mac, Core ML runs it")
class TestEvaluated:
    def test_inputs_go_by_name(self, package):
        with runtime.open_session(package, SPEC, 1) as session:
            given = dict(reversed(INPUTS.items()))
            np.testing.assert_allclose(session.run(given)["y"], np.full(SHAPE, 4), atol=1e-6)

    def test_outputs_are_the_callers(self, package):
        with runtime.open_session(package, SPEC, 1) as session:
            first = session.run(INPUTS)["y"]
            session.run({name: value * 0 for name, value in INPUTS.items()})
        first += 0
        assert (first == 4).all()

    def test_wrong_input_is_refused(self, package):
        with runtime.open_session(package, SPEC, 1) as session:
            with pytest.raises(InputError, match="forward: expected the inputs x0, x1, got x0"):
                session.run({"x0": INPUTS["x0"]})
            with pytest.raises(InputError, match="expected x0 as 1x2x3x4, got 1x2x4x3"):
                session.run(INPUTS | {"x0": np.zeros((1, 2, 4, 3), np.float32)})

    def test_closed(self, package):
        session = runtime.open_session(package, SPEC, 1)
        session.close()
        session.close()
        with pytest.raises(RuntimeFailure, match="session of forward is closed"):
            session.run(INPUTS)

    def test_needs_no_coremltools(self, package):
        script = f"""
import sys
from pathlib import Path
from edge_pipeline.runtime.mil.evaluate import Evaluator
import edge_pipeline.runtime.coreml as runtime
runtime.preload()
Evaluator(Path({str(package)!r}))
raise SystemExit(str(sorted({{"torch", "coremltools"}} & set(sys.modules)) or ""))
"""
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr.strip()) == ("", "")


def test_a_package_of_other_tensors_is_refused(package):
    other = spec_of({"x0": SHAPE}, {"y": SHAPE})
    with pytest.raises(RuntimeFailure, match="has the inputs x0, x1; the manifest lists x0"):
        runtime.open_session(package, other, 1)
    other = spec_of({"x0": SHAPE, "x1": SHAPE}, {"z": SHAPE})
    with pytest.raises(RuntimeFailure, match="has the outputs y; the manifest lists z"):
        runtime.open_session(package, other, 1)


def test_another_shape_than_the_manifests_is_refused(package):
    other = (1, 2, 3, 5)
    spec = spec_of({"x0": other, "x1": other}, {"y": other})
    with pytest.raises(RuntimeFailure, match="has x0 as"):
        runtime.open_session(package, spec, 1)


class TestOnAMac:
    """What is asked of Core ML; that it answers right only a Mac can show."""

    @pytest.fixture
    def asked(self, monkeypatch):
        asked = SimpleNamespace(error=None, loaded=[], inputs=[])

        class Model:
            def __init__(self, path, compute_units):
                asked.loaded.append((path, compute_units))
                if asked.error == "load":
                    raise RuntimeError("Error compiling model\nfor these reasons")

            def predict(self, inputs):
                asked.inputs.append(inputs)
                if asked.error == "run":
                    raise RuntimeError("no memory")
                return {"y": np.full(SHAPE, 7, np.float32)}

        tools = ModuleType("coremltools")
        tools.models = SimpleNamespace(MLModel=Model)
        tools.ComputeUnit = SimpleNamespace(ALL="all")
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setitem(sys.modules, "coremltools", tools)
        return asked

    def test_predict_runs_it(self, package, asked):
        with runtime.open_session(package, SPEC, 1) as session:
            assert (session.run(INPUTS)["y"] == 7).all()
        assert asked.loaded == [(str(package), "all")]
        assert set(asked.inputs[0]) == {"x0", "x1"}

    @pytest.mark.parametrize("stage", ["load", "run"])
    def test_its_errors_are_one_sentence(self, package, asked, stage):
        asked.error = stage
        with pytest.raises(RuntimeFailure, match=f"Core ML could not {stage} ") as caught:
            runtime.open_session(package, SPEC, 1).run(INPUTS)
        assert "\n" not in str(caught.value)

    def test_the_missing_package_is_named(self, package, asked, monkeypatch):
        monkeypatch.setitem(sys.modules, "coremltools", None)
        with pytest.raises(MissingExtraError, match=r"edge-pipeline\[coreml\]"):
            runtime.open_session(package, SPEC, 1)
