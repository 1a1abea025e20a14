"""What is left out of ExecuTorch's lowering changes no byte of what comes out."""

import contextlib

import pytest

pytest.importorskip("executorch.exir", reason="the executorch extra is not installed")

import torch
import torch.nn.functional as F  # noqa: N812
from torch.export import ExportedProgram

from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.backends.executorch import edge, retracing
from edge_pipeline.compiler.backends.executorch import xnnpack as backend
from tests.programs import exported


def _shares(x):  # has the operator that the search for attention is skipped without
    return torch.softmax(x * 2.0, -1)


def _upsampled(x):
    return F.interpolate(F.gelu(x) + 0.5, scale_factor=2.0, mode="bilinear")


@pytest.mark.parametrize("function", [_shares, _upsampled])
def test_the_same_bytes_with_and_without(function, monkeypatch):
    program = exported(function, torch.rand(1, 2, 8, 8))
    options = EmitOptions("forward", ("x",), ("y",))
    short = backend.emit(program, options).files
    monkeypatch.setattr(edge, "brief", contextlib.nullcontext)
    assert backend.emit(program, options).files == short


def test_everything_is_put_back():
    from executorch.exir import pass_base

    before = (pass_base._ExportPassBase.call, ExportedProgram.run_decompositions)
    with retracing.brief():
        assert pass_base._ExportPassBase.call is not before[0]
    with pytest.raises(ZeroDivisionError), retracing.brief():
        _ = 1 / 0
    assert (pass_base._ExportPassBase.call, ExportedProgram.run_decompositions) == before
    assert not hasattr(torch.fx.traceback.NodeSource, "__deepcopy__")
