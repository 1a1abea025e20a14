"""Vulkan's lowering without the patterns that it exports anew for each program."""

import time

import pytest

pytest.importorskip("executorch.exir", reason="the extra executorch is not installed")

import torch
from torch import nn

from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.backends.executorch import vulkan
from edge_pipeline.errors import DelegationError, MissingExtraError
from tests.programs import exported


class Summing(nn.Module):
    def forward(self, x):
        return torch.cumsum(x, 1)


def test_patterns_of_language_models_are_not_exported_and_come_back(monkeypatch):
    try:
        vulkan.require()
    except MissingExtraError:
        pytest.skip("the wheel is without Vulkan's partitioner")
    from executorch.backends.vulkan.patterns.pattern_registry import fusable_patterns

    before = dict(fusable_patterns)
    assert any(entry.get_graphs_fn is not None for entry in before.values())

    def exported_anew():
        raise AssertionError("a pattern was exported")

    for entry in before.values():
        if entry.get_graphs_fn is not None:
            monkeypatch.setattr(entry, "get_graphs_fn", exported_anew)
    options = EmitOptions("forward", ["x"], ["y"])
    with pytest.raises(DelegationError, match="cumsum"):
        vulkan.emit(exported(Summing(), torch.rand(1, 3, 8, 8)), options)
    conv = exported(nn.Conv2d(3, 4, 3).eval(), torch.rand(1, 3, 8, 8))
    start = time.process_time()
    assert vulkan.emit(conv, options).delegation.outside == {}
    assert time.process_time() - start < 30
    assert dict(fusable_patterns) == before
