"""ExecuTorch with the Core ML delegate: `.pte` files for iPhones and Macs, written on any system.

Only Apple's systems can run these files. The backend `coreml` writes Core ML packages, whose
operators can be evaluated on any system.
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
    """Return "not_run": Linux cannot run the delegate, and no evaluator can read the file."""
    return "not_run"


def require() -> dict[str, str]:
    """Return the versions of ExecuTorch, torch and coremltools.

    Raises:
        MissingExtraError: If one is not installed, or ExecuTorch's wheel lacks the partitioner.
    """
    versions = edge.require()
    purpose = "compiling for ExecuTorch's Core ML delegate"
    with quiet():
        coremltools = require_module("coremltools", "coreml", purpose)
        edge.require_part("executorch.backends.apple.coreml.partition", "Core ML")
        edge.require_part("executorch.backends.apple.coreml.executorchcoreml", "Core ML")
    return versions | {"coremltools": str(coremltools.__version__)}


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """Lower `program` to Core ML, and check that the delegate accepts every operator.

    Inputs and outputs are float32 in both precisions; Core ML converts them.

    Args:
        program: Program of fixed sizes.
        options: See `EmitOptions`. The share of time outside the delegate is not measured, since
            the program cannot be run here.

    Raises:
        DelegationError: If an operator stays outside the delegate; the message names its layer.
        CompileError: If ExecuTorch or coremltools fails.
    """
    require()
    with quiet():
        lowered = edge.lower(program, _delegate(options.precision), allowed=options.allowed)
        files = edge.write(lowered.manager, options.name)
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
        remedy="add a pass that rewrites it, or try the backend coreml",
    )
