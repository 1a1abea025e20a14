"""The note of an artifact whose algorithms were chosen by the costs of another device."""

import pytest
import torch
from torch import nn

from edge_pipeline.compiler.compile import compile_module

WORDS = "the costs of convolutions for arm64 rest on times of x86_epyc"


@pytest.mark.parametrize(
    ("backend", "target", "is_noted"),
    [("executorch", "arm64", True), ("executorch", "x86_epyc", False), ("onnx", "arm64", False)],
)
def test_costs_of_another_device_are_noted(tmp_path, backend, target, is_noted):
    pytest.importorskip("executorch" if backend == "executorch" else "onnxscript")
    layer = nn.Conv2d(3, 4, 3, padding=1).eval()
    inputs = {"input": torch.rand(1, 3, 24, 24)}
    artifact = compile_module(layer, inputs, tmp_path / "a", backend=backend, target=target)
    assert any(WORDS in note for note in artifact.manifest.notes) == is_noted
