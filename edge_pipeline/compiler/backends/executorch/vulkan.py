"""ExecuTorch with the Vulkan delegate: a `.pte` for GPUs of Android phones, written ahead of time.

Vulkan's partitioner takes any convolution of batch 1 (`register_convolution_cpp_ops` in its
`op_registry.py` looks at the input alone) and marks the weight as prepacked, which is done once,
when the program is loaded. So it claims convolutions with weights computed at run time, which its
kernels have no form for. Our passes lower them to matrix products; one that is left is refused.
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
    """The wheel has Vulkan's partitioner and not its runtime."""
    return "not_run"


def require() -> dict[str, str]:
    """Versions of ExecuTorch and torch.

    Raises:
        MissingExtraError: ExecuTorch is not installed, or the wheel is without the partitioner.
    """
    versions = edge.require()
    root = logging.getLogger()
    level = root.level
    edge.require_part("executorch.backends.vulkan.partitioner.vulkan_partitioner", "Vulkan")
    root.setLevel(level)  # the partitioner's module turns on everybody's messages
    return versions


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """Lower `program` to Vulkan and assert, operator by operator, that all of it went there.

    Args:
        program: of fixed sizes.
        options: see `EmitOptions`. In fp16 Vulkan stores and computes in half precision what it was
            given in single; inputs and outputs stay float32. The share of time of what stays
            outside cannot be measured here.

    Raises:
        DelegationError: an operator stays outside, or is a convolution whose weight is computed at
            run time; its layer is named.
        CompileError: ExecuTorch fails.
    """
    require()
    _check_weights(program)
    with _without_exported_patterns():
        lowered = edge.lower(program, _delegate(options.precision), allowed=options.allowed)
    files = edge.write(lowered, options.name)
    return Emitted(f"{options.name}.pte", files, lowered.delegation, (_NOTE,))


def _check_weights(program: ExportedProgram) -> None:
    constants = constants_of(program)
    problem = "the weight of its convolution is computed, and Vulkan packs weights when it loads"
    refused = [
        Refused.of(node, problem, "write it as matrix products, or make the weight a parameter")
        for node in program.graph.nodes
        if node.op == "call_function" and node.target in _CONVOLUTIONS
        if node.args[1].name not in constants
    ]
    if refused:
        raise DelegationError(refusal("Vulkan takes no computed weights", refused))


@contextmanager
def _without_exported_patterns() -> Iterator[None]:
    """Leave out the patterns that Vulkan exports anew for each program: rotary embeddings.

    It builds and exports them, twice a program, before it looks whether they occur; what takes
    seconds or minutes is for language models alone. Patterns that it finds by looking stay.
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
        remedy="write it with operators that the delegate takes",
    )
