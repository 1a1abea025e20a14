"""Refusals by accuracy, of programs that were just written."""

from dataclasses import replace

import pytest

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

import torch
from torch import nn

import edge_pipeline
from edge_pipeline import compare
from edge_pipeline.errors import CompileError


@pytest.mark.parametrize(
    ("precision", "remedy"),
    [
        ("int8", "give --precision fp16 or fp32, or samples like the inputs that it will see; "),
        ("fp16", "give --precision fp32; "),
    ],
)
def test_the_figure_and_the_remedy_are_named(precision, remedy, tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    strict = replace(compare.TOLERANCES[precision], max_rel=1e-9)
    monkeypatch.setitem(compare.TOLERANCES, precision, strict)
    with pytest.raises(CompileError) as caught:
        edge_pipeline.compile(
            network, [torch.rand(1, 3, 9, 9)], tmp_path / "a", backend="onnx", precision=precision
        )
    said = str(caught.value)
    assert f"in {precision} differs from eager: the relative error 0.0" in said
    assert f" is not below 1e-09 in output_0; {remedy}edge-pipeline bisect finds" in said
    assert not (tmp_path / "a").exists()
