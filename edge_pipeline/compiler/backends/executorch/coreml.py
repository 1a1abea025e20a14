"""ExecuTorch with the Core ML delegate: a `.pte` for iPhones and Macs, written on any system.

Nothing but Apple's systems runs it. Core ML packages of their own, and an evaluation of what is in
them, are the backend `coreml`.
"""

from __future__ import annotations

from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted
from edge_pipeline.compiler.backends.coreml.convert import quiet
from edge_pipeline.compiler.backends.executorch import edge
from edge_pipeline.optional import require as require_module

__all__ = ["FREE_SIZES", "PRECISIONS", "checked", "emit", "require"]

FREE_SIZES = False
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")

_NOTE = (
    "written ahead of time for Core ML by ExecuTorch's partitioner and never run: push it to an "
    "iPhone or Mac with ExecuTorch's Core ML backend (iOS 17, macOS 14 or later)"
)


def checked() -> Checked:
    """No Linux runs the delegate, and ExecuTorch's file hides the program from an evaluator."""
    return "not_run"


def require() -> dict[str, str]:
    """Versions of ExecuTorch, torch and coremltools.

    Raises:
        MissingExtraError: one is not installed, or the wheel is without the partitioner.
    """
    versions = edge.require()
    purpose = "compiling for ExecuTorch's Core ML delegate"
    with quiet():
        coremltools = require_module("coremltools", "coreml", purpose)
        edge.require_part("executorch.backends.apple.coreml.partition", "Core ML")
        edge.require_part("executorch.backends.apple.coreml.executorchcoreml", "Core ML")
    return versions | {"coremltools": str(coremltools.__version__)}


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """Lower `program` to Core ML and assert, operator by operator, that all of it went there.

    Inputs and outputs are float32 in both precisions: Core ML computes as it is told inside.

    Args:
        program: of fixed sizes.
        options: see `EmitOptions`. The share of time of what stays outside cannot be measured here.

    Raises:
        DelegationError: an operator stays outside; its layer is named.
        CompileError: ExecuTorch or coremltools fails.
    """
    require()
    with quiet():
        lowered = edge.lower(program, _delegate(options.precision), allowed=options.allowed)
        files = edge.write(lowered, options.name)
    return Emitted(f"{options.name}.pte", files, lowered.delegation, (_NOTE,))


def _delegate(precision: Precision) -> edge.Delegate:
    import coremltools
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    kinds = {"fp32": coremltools.precision.FLOAT32, "fp16": coremltools.precision.FLOAT16}
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=kinds[precision], minimum_deployment_target=coremltools.target.iOS17
    )
    return edge.Delegate(
        backend="CoreMLBackend",
        title="Core ML",
        partitioner=CoreMLPartitioner(compile_specs=specs),
        loggers="executorch.backends.apple.coreml.partition",
        remedy="the network needs a pass that rewrites it, or try the backend coreml",
    )
