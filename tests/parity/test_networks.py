"""Networks of other people's designs, compiled for every runtime, next to eager."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import numpy as np
import torch

import edge_pipeline
from edge_pipeline.compare import TOLERANCES, compare
from edge_pipeline.runtime.base import open_session
from tests.compiled import PACKAGES
from tests.networks.table import NETWORKS
from tests.networks.weights import drawn
from tests.selection import fast_or_slow

RUN_HERE = ("onnx", "executorch", "litert")
# Those that compile in a few seconds, one of a kind; each backend has one at least. The commands of
# docs/networks.md compile further ones, and compare their reference outputs with eager.
FAST = [
    ("dynamic", "onnx"),
    ("dynamic", "executorch"),
    ("dynamic", "litert"),
    ("involution", "onnx"),
    ("lora", "executorch"),
    ("perceptron", "litert"),
    ("implicit", "executorch"),
    ("instances", "onnx"),
    ("recurrent", "litert"),
]


def example(known, seed=0):
    return {name: drawn(shape, seed + i) for i, (name, shape) in enumerate(known.inputs.items())}


def eager(network, inputs):
    with torch.no_grad():
        outputs = network(**inputs)
    return [y.numpy() for y in (outputs if isinstance(outputs, tuple) else (outputs,))]


def built(name):
    known = NETWORKS[name]
    if known.needs:
        pytest.importorskip(known.needs, reason=f"the network is {known.needs}'s")
    return known, known.build()


def agrees(artifact, network, inputs, precision="fp32"):
    """Whether the artifact's outputs are eager's, within what the project's proof allows."""
    program = artifact.manifest.programs[0]
    expected = dict(zip([t.name for t in program.outputs], eager(network, inputs), strict=True))
    with open_session(artifact, program.name, threads=1) as session:
        found = session.run({name: value.numpy() for name, value in inputs.items()})
    differences = compare(expected, found)
    complaints = [TOLERANCES[precision].complaint(d) for d in differences.values()]
    assert complaints == [None] * len(complaints)


CASES = fast_or_slow(
    [(name, backend) for name in NETWORKS for backend in RUN_HERE],
    FAST,
    uncovered=set(NETWORKS) - {name for name, _ in FAST},
)


@pytest.mark.parametrize(("name", "backend"), CASES)
def test_a_network_is_delegated_whole_and_agrees(tmp_path, name, backend):
    pytest.importorskip(PACKAGES[backend], reason=f"the extra {backend} is not installed")
    known, network = built(name)
    artifact = edge_pipeline.compile(network, example(known), tmp_path / "a", backend=backend)
    (program,) = artifact.manifest.programs
    assert program.delegation.outside == {}
    agrees(artifact, network, example(known, seed=100))


# What each runtime computes in narrow types within the proof's tolerance, seen once and held since.
NARROW = [
    ("kernel_prediction", "onnx", "int8"),
    ("kernel_prediction", "executorch", "int8"),
    ("kernel_prediction", "litert", "int8"),
    ("filter_adaptive", "executorch", "int8"),
    ("filter_adaptive", "litert", "int8"),
    ("dynamic", "litert", "int8"),
    *(("cond_conv", backend, "int8") for backend in RUN_HERE),
    ("mobilevit", "executorch", "int8"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backend", "precision"), NARROW)
def test_a_network_in_a_narrow_type_agrees(tmp_path, name, backend, precision):
    pytest.importorskip(PACKAGES[backend], reason=f"the extra {backend} is not installed")
    known, network = built(name)
    artifact = edge_pipeline.compile(
        network, example(known), tmp_path / "a", backend=backend, precision=precision
    )
    (program,) = artifact.manifest.programs
    assert program.delegation.outside == {}
    agrees(artifact, network, example(known, seed=100), precision)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["generator", "involution"])
def test_core_ml_takes_what_its_tracker_asks_for(tmp_path, name):
    """coremltools 853 and 2536: computed weights of transposed convolutions, a kernel a pixel."""
    pytest.importorskip(PACKAGES["coreml"], reason="the extra coreml is not installed")
    known, network = built(name)
    artifact = edge_pipeline.compile(network, example(known), tmp_path / "a", backend="coreml")
    agrees(artifact, network, example(known, seed=100))


SETS = [
    pytest.param(name, marks=pytest.mark.slow if known.needs else ())  # the libraries load slowly
    for name, known in NETWORKS.items()
]


@pytest.mark.parametrize("name", SETS)
def test_outputs_follow_inputs(name):
    """A network that gives the same for all inputs proves nothing."""
    known, network = built(name)
    one, other = eager(network, example(known, 100)), eager(network, example(known, 200))
    for a, b in zip(one, other, strict=True):
        assert np.isfinite(a).all()
        assert np.abs(a - b).max() > 0.01 * np.abs(a).max()
        assert 1e-3 < np.abs(a).max() < 1e3
