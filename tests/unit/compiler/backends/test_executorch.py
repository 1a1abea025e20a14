import logging

import pytest

pytest.importorskip("executorch.exir", reason="the executorch extra is not installed")

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from edge_pipeline.compiler.backends import executorch as backend
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.errors import DelegationError
from tests.programs import exported


class Predicting(nn.Module):
    """Every construct of the network that the delegate refuses as it is written."""

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.mlp = nn.Linear(3, 4 * 3 * 3 * 3)

        def forward(self, x):
            f = self.mlp(x.amax((2, 3))).view(1, 4, 3, 3, 3)
            f = f / (f.abs().sum((3, 4), keepdim=True) + 1e-12) / 2
            padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
            return torch.conv2d(padded, f.reshape(4, 3, 3, 3))

    def __init__(self):
        super().__init__()
        self.hyper = self.Layer()

    def forward(self, x):
        y = F.gelu(self.hyper(x)) + x.mean(1, keepdim=True)
        return F.interpolate(F.max_pool2d(y, 2), scale_factor=2.0, mode="bilinear")


@pytest.fixture(scope="module")
def program():
    return exported(Predicting(), torch.rand(1, 3, 8, 8))


def test_after_the_passes_all_of_it_is_delegated(program):
    x = torch.rand(1, 3, 8, 8)
    lowered = run_passes(program, passes_for("executorch"), [x])
    emitted = backend.emit(lowered, ["x"], ["y"])
    assert emitted.delegation.outside == {}
    assert emitted.delegation.delegated["bmm"] == 1
    # The channel mean; the convolution with the predicted filters is gone.
    assert emitted.delegation.delegated["convolution"] == 1
    assert b"XnnpackBackend" in emitted.data


def test_without_the_lowering_the_layer_the_operator_and_the_reason_are_named(program):
    x = torch.rand(1, 3, 8, 8)
    steps = [step for step in passes_for("executorch") if step.name != "lower_convolution"]
    lowered = run_passes(program, steps, [x])
    with pytest.raises(
        DelegationError, match=r"hyper: the operator convolution .*Expected weight to be a static"
    ):
        backend.emit(lowered, ["x"], ["y"])


def test_the_partitioners_log_is_left_as_it_was(program):
    names = [n for n in logging.root.manager.loggerDict if backend._LOGGERS in n]
    before = [(logging.getLogger(n).level, logging.getLogger(n).propagate) for n in names]
    with pytest.raises(DelegationError):
        backend.emit(exported(lambda x: x.cumsum(1), torch.rand(1, 3, 4, 4)), ["x"], ["y"])
    after = [(logging.getLogger(n).level, logging.getLogger(n).propagate) for n in names]
    assert after == before
    assert not any(logging.getLogger(n).handlers for n in names)


def test_the_versions_are_told():
    assert set(backend.require()) == {"executorch", "torch"}
