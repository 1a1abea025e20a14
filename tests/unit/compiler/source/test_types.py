"""Inputs and outputs of whole numbers and booleans."""

import numpy as np
import pytest
import torch

import edge_pipeline
from edge_pipeline.cli.main import main
from edge_pipeline.compare import TOLERANCES, compare
from edge_pipeline.errors import CompileError, InputError
from edge_pipeline.proof.verify import verify_artifact
from edge_pipeline.runtime.base import open_session
from tests.fakes import own_networks as own

BACKENDS = ["onnx", "executorch", "litert"]
# XNNPACK computes no whole numbers.
OUTSIDE = {
    "onnx": [],
    "executorch": ["argmax", "embedding", "_to_dim_order_copy"],
    "litert": ["arg_max", "embedding_lookup", "cast", "reshape"],
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_labels_come_out_as_whole_numbers(tmp_path, backend):
    torch.manual_seed(0)
    network, image = own.Labels().eval(), torch.rand(1, 3, 16, 24)
    artifact = edge_pipeline.compile(
        network, [image], tmp_path / "a", backend=backend, allowed=["argmax", "arg_max"]
    )
    (output,) = artifact.manifest.programs[0].outputs
    assert output.dtype == "int64"
    with open_session(artifact, "forward", threads=1) as session:
        found = session.run({"image": image.numpy()})[output.name]
    assert np.array_equal(found, network(image).numpy())
    assert verify_artifact(artifact).verdict == "verified"


@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens_and_a_mask_go_in(tmp_path, backend):
    torch.manual_seed(0)
    network = own.Tokens().eval()
    tokens, counts = torch.randint(0, 50, (1, 9)), torch.rand(1, 9) < 0.5
    artifact = edge_pipeline.compile(
        network,
        {"tokens": tokens, "counts": counts},
        tmp_path / "a",
        backend=backend,
        allowed=OUTSIDE[backend],
    )
    kinds = [tensor.dtype for tensor in artifact.manifest.programs[0].inputs]
    assert kinds == ["int64", "bool"]
    with open_session(artifact, "forward", threads=1) as session:
        found = session.run({"tokens": tokens.numpy(), "counts": counts.numpy()})
        with pytest.raises(InputError, match="expected tokens as int64, got int32"):
            session.run({"tokens": tokens.int().numpy(), "counts": counts.numpy()})
    scores, label = (value.detach().numpy() for value in network(tokens, counts))
    np.testing.assert_allclose(found["output_0"], scores, atol=1e-5)
    assert np.array_equal(found["output_1"], label)
    assert verify_artifact(artifact).verdict == "verified"


def test_the_command_line_draws_whole_numbers(tmp_path):
    words = ["--input", "tokens=1x9:int64", "--input", "counts=1x9:bool", "--backend", "onnx"]
    out = str(tmp_path / "a")
    assert main(["compile", "tests.fakes.own_networks:Tokens", *words, "-o", out]) == 0
    assert main(["verify", out]) == 0


def test_a_type_that_no_program_gives_is_refused(tmp_path):
    class Double(torch.nn.Module):
        def forward(self, x):
            return x.double()

    with pytest.raises(CompileError, match=r"an output is float64; .* return float32"):
        edge_pipeline.compile(Double(), [torch.rand(1, 3)], tmp_path / "a", backend="onnx")


def test_of_labels_the_share_that_differs_counts():
    labels = np.zeros(1000, np.int64)
    other = labels.copy()
    other[0] = 99
    difference = compare({"y": labels}, {"y": other})["y"]
    assert difference.max_rel == 0.001
    assert difference.max_abs == 99
    assert TOLERANCES["fp32"].complaint(difference) is not None
    assert TOLERANCES["fp16"].complaint(difference) is None
