"""ExecuTorch with the Vulkan delegate: `.pte` files for GPUs of Android phones.

Vulkan's partitioner accepts any convolution of batch 1 (`register_convolution_cpp_ops` in its
`op_registry.py` checks only the input) and marks the weight as prepacked. Weights are packed once,
when the program is loaded. So the partitioner also accepts convolutions with weights computed at
run time, for which Vulkan has no kernels. Our passes lower these to matrix products; this module
raises an error for any that are left.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.analysis.refusals import Refused, refusal
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted
from edge_pipeline.compiler.backends.executorch import edge
from edge_pipeline.compiler.program import constants_of
from edge_pipeline.errors import DelegationError

__all__ = ["FREE_SIZES", "PRECISIONS", "checked", "emit", "require"]

FREE_SIZES = False
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")

_CONVOLUTIONS = (
    torch.ops.aten.conv2d.default,
    torch.ops.aten.convolution.default,
    torch.ops.aten.conv_transpose2d.input,
)
_NOTE = (
    "written ahead of time for Vulkan by ExecuTorch's partitioner and never run: push it to an "
    "Android phone with ExecuTorch's Vulkan backend"
)


def checked() -> Checked:
    """Return "not_run", since the wheel contains Vulkan's partitioner but not its runtime."""
    return "not_run"


def require() -> dict[str, str]:
    """Return the versions of ExecuTorch and torch.

    Raises:
        MissingExtraError: If ExecuTorch is not installed, or its wheel lacks the partitioner.
    """
    versions = edge.require()
    root = logging.getLogger()
    level = root.level
    edge.require_part("executorch.backends.vulkan.partitioner.vulkan_partitioner", "Vulkan")
    root.setLevel(level)  # importing the partitioner's module changes the root logger's level
    return versions


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """Lower `program` to Vulkan, and check that the delegate accepts every operator.

    Args:
        program: Program of fixed sizes.
        options: See `EmitOptions`. In fp16, Vulkan converts the float32 program to half precision
            for storage and arithmetic; inputs and outputs stay float32. The share of time outside
            the delegate is not measured, since the program cannot be run here.

    Raises:
        DelegationError: If an operator stays outside, or is a convolution whose weight is computed
            at run time; the message names its layer.
        CompileError: If ExecuTorch fails.
    """
    require()
    _check_weights(program)
    with _without_exported_patterns():
        lowered = edge.lower(program, _delegate(options.precision), allowed=options.allowed)
    files = edge.write(lowered.manager, options.name)
    return Emitted(f"{options.name}.pte", files, lowered.delegation, (_NOTE,))


def _check_weights(program: ExportedProgram) -> None:
    constants = constants_of(program)
    problem = "the weight of its convolution is computed, and Vulkan packs weights at load time"
    refused = [
        Refused.of(node, problem, "write it as matrix products, or make the weight a parameter")
        for node in program.graph.nodes
        if node.op == "call_function" and node.target in _CONVOLUTIONS
        if node.args[1].name not in constants
    ]
    if refused:
        raise DelegationError(refusal("Vulkan does not support computed weights", refused))


@contextmanager
def _without_exported_patterns() -> Iterator[None]:
    """Disable the patterns that Vulkan exports for each program: rotary embeddings.

    Vulkan builds and exports them twice per program, before it checks whether they occur. This
    takes seconds or minutes, and only language models use them. Other patterns stay enabled.
    """
    from executorch.backends.vulkan.patterns.pattern_registry import fusable_patterns

    kept = {name: entry for name, entry in fusable_patterns.items() if entry.get_graphs_fn is None}
    with mock.patch.dict(fusable_patterns, kept, clear=True):
        yield


def _delegate(precision: Precision) -> edge.Delegate:
    from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

    options = {"force_fp16": precision == "fp16", "require_dynamic_shapes": False}
    return edge.Delegate(
        backend="VulkanBackend",
        title="Vulkan",
        partitioner=VulkanPartitioner(options),
        loggers="executorch.backends.vulkan.partitioner",
        remedy="write it with operators that the delegate supports",
    )
