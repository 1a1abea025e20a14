"""Delegates that are written here and run elsewhere."""

import logging
import sys

import pytest

pytest.importorskip("executorch.exir", reason="the executorch extra is not installed")

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.errors import DelegationError, MissingExtraError, UnknownNameError
from edge_pipeline.registry import BACKENDS, RUNTIMES
from tests.programs import exported

OPTIONS = EmitOptions("forward", ("x",), ("y",))
PARTITIONERS = {
    "executorch_coreml": "executorch.backends.apple.coreml.partition",
    "executorch_vulkan": "executorch.backends.vulkan.partitioner.vulkan_partitioner",
}


class Dynamic(nn.Module):
    """A convolution whose filters follow its input."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.Linear(3, 4 * 3 * 3 * 3)

    def forward(self, x):
        filters = self.mlp(x.mean((2, 3))).view(4, 3, 3, 3)
        return F.gelu(torch.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), filters))


@pytest.fixture
def constant():
    torch.manual_seed(0)
    return exported(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()), torch.rand(1, 3, 8, 8))


@pytest.fixture(scope="module")
def dynamic():
    return exported(Dynamic(), torch.rand(1, 3, 8, 8))


def loaded(name):
    if name == "executorch_coreml":
        pytest.importorskip("coremltools", reason="the coreml extra is not installed")
    return BACKENDS.load(name)


@pytest.mark.parametrize("name", PARTITIONERS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_all_of_a_constant_network_is_delegated(name, precision, constant, capfd):
    level = logging.getLogger().level
    emitted = loaded(name).emit(constant, EmitOptions("forward", ("x",), ("y",), precision))
    assert emitted.delegation.outside == {}
    assert emitted.delegation.delegated["gelu"] == 1
    assert b"ET" in emitted.files["forward.pte"][4:8]
    assert logging.getLogger().level == level
    assert capfd.readouterr().out == ""


def test_core_ml_takes_computed_filters(dynamic):
    lowered = run_passes(dynamic, passes_for("executorch_coreml"), [torch.rand(1, 3, 8, 8)])
    emitted = loaded("executorch_coreml").emit(lowered, OPTIONS)
    assert emitted.delegation.outside == {}
    assert emitted.delegation.delegated["conv2d"] >= 1


def test_vulkan_takes_computed_filters_as_matrix_products(dynamic):
    lowered = run_passes(dynamic, passes_for("executorch_vulkan"), [torch.rand(1, 3, 8, 8)])
    delegation = loaded("executorch_vulkan").emit(lowered, OPTIONS).delegation
    assert delegation.outside == {}
    assert "convolution" not in delegation.delegated


def test_vulkan_is_not_given_a_convolution_whose_weight_it_would_have_to_pack_anew(dynamic):
    """Its own partitioner claims it, as the second half shows."""
    backend = loaded("executorch_vulkan")
    with pytest.raises(DelegationError, match="the weight of its convolution is computed"):
        backend.emit(dynamic, OPTIONS)
    from edge_pipeline.compiler.backends.executorch import edge

    beside = frozenset({"abs", "index", "mean"})
    claimed = edge.lower(dynamic, backend._delegate("fp32"), allowed=beside)
    assert claimed.delegation.delegated["convolution"] == 1


@pytest.mark.parametrize("name", PARTITIONERS)
def test_they_are_said_to_be_neither_run_nor_checked(name, constant):
    backend = loaded(name)
    assert backend.checked() == "not_run"
    (note,) = backend.emit(constant, OPTIONS).notes
    assert "never run: push it to an" in note


@pytest.mark.parametrize("name", PARTITIONERS)
def test_no_runtime_pretends_to_run_them(name):
    with pytest.raises(UnknownNameError, match=name):
        RUNTIMES.load(name)


@pytest.mark.parametrize("name", PARTITIONERS)
def test_a_wheel_without_the_partitioner(name, monkeypatch):
    backend = loaded(name)
    monkeypatch.setitem(sys.modules, PARTITIONERS[name], None)
    with pytest.raises(MissingExtraError, match=PARTITIONERS[name]):
        backend.require()


def test_an_operator_outside_is_named():
    program = exported(lambda x: x.cumsum(1), torch.rand(1, 3, 8, 8))
    with pytest.raises(DelegationError, match="the operator cumsum stays outside Vulkan"):
        loaded("executorch_vulkan").emit(program, OPTIONS)
