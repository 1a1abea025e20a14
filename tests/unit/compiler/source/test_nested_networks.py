"""Networks whose inputs and outputs are containers, numbers, or made by other networks."""

import pytest
import torch

import edge_pipeline
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.main import main
from edge_pipeline.proof.verify import verify_artifact
from edge_pipeline.runtime.base import open_session
from tests.compiled import PACKAGES
from tests.fakes import own_networks as own

BACKENDS = ["onnx", "executorch", "litert"]


def ready(backend):
    pytest.importorskip(PACKAGES[backend], reason=f"the extra {backend} is not installed")


def outputs(artifact, inputs):
    with open_session(artifact, "forward", threads=1) as session:
        return session.run({name: value.numpy() for name, value in inputs.items()})


@pytest.mark.parametrize("backend", BACKENDS)
def test_containers_and_numbers_go_in_and_out(tmp_path, backend):
    ready(backend)
    torch.manual_seed(0)
    network = own.Detector().eval()
    flat = {
        "batch.image": torch.rand(1, 3, 8, 8),
        "batch.gain": torch.tensor(1.5),
        "masks.0": torch.rand(1, 4, 8, 8),
        "masks.1": torch.rand(8),
    }
    batch = {"image": flat["batch.image"], "gain": flat["batch.gain"]}
    masks = [flat["masks.0"], flat["masks.1"]]
    artifact = edge_pipeline.compile(network, (batch, masks), tmp_path / "a", backend=backend)
    assert [t.name for t in artifact.manifest.programs[0].inputs] == list(flat)
    found = outputs(artifact, flat)
    with torch.no_grad():
        expected = network(batch, masks)
    named = {"maps.0": expected["maps"]["0"], "maps.1": expected["maps"]["1"]}
    named |= {"largest": expected["largest"], "mean": expected["mean"]}
    assert list(found) == list(named)
    for name, value in named.items():
        assert found[name].shape == tuple(value.shape)
        torch.testing.assert_close(torch.from_numpy(found[name]), value, atol=1e-5, rtol=1e-4)
    assert verify_artifact(artifact).verdict == "verified"


def test_inputs_of_containers_are_named_on_the_command_line(tmp_path):
    words = ["compile", "tests.fakes.own_networks:Detector", "--backend", "onnx"]
    words += ["--input", "batch.image=1x3x8x8", "--input", "batch.gain=1"]
    words += ["--input", "masks.0=1x4x8x8", "--input", "masks.1=8"]
    assert main([*words, "-o", str(tmp_path / "a")]) == 0
    (program,) = Artifact.open(tmp_path / "a").manifest.programs
    assert [t.name for t in program.inputs] == [
        "batch.image", "batch.gain", "masks.0", "masks.1",
    ]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
def test_linear_layers_take_computed_weights(tmp_path, backend):
    """XNNPACK's partitioner joined all operators of an `nn.Linear`, in a wrong order."""
    ready(backend)
    torch.manual_seed(0)
    network, code = own.ImplicitPicture().eval(), torch.rand(1, 5)
    artifact = edge_pipeline.compile(network, (code,), tmp_path / "a", backend=backend)
    (found,) = outputs(artifact, {"code": code}).values()
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), network(code), atol=1e-5, rtol=1e-4)
