"""ExecuTorch with the XNNPACK delegate: a `.pte` of one size, its weights beside it in a `.ptd`."""

from __future__ import annotations

from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted, half_notes
from edge_pipeline.compiler.backends.executorch.edge import Delegate, lower, require, write
from edge_pipeline.compiler.backends.executorch.half import to_half
from edge_pipeline.compiler.backends.executorch.outside_share import measured_share
from edge_pipeline.compiler.backends.executorch.pt2e import quantise

__all__ = ["FREE_SIZES", "PRECISIONS", "checked", "emit", "require"]

FREE_SIZES = False
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

_HALF = "takes and gives float16; whoever runs the file without this package has to convert"

_ON_X86 = (
    "XNNPACK's float16 kernels there widen every value to float32 and narrow it again, and 2.0 to "
    "2.3 times the time of float32 was measured"
)


def checked() -> Checked:
    """The wheel that writes also runs."""
    return "verified"


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """Lower `program` to XNNPACK and assert, operator by operator, that all of it went there.

    ExecuTorch knows inputs and outputs by position; the names are not written. Weights of two axes
    or more lie in the `.ptd`, each as contiguous little-endian values, those of a convolution with
    the axes [out, height, width, in]. In int8 they stay in the `.pte`: their scales are there.

    Args:
        program: of fixed sizes.
        options: see `EmitOptions`.

    Raises:
        DelegationError: an operator stays outside; its layer and the partitioner's reason are
            named.
        CompileError: ExecuTorch itself fails, or the precision cannot hold the network's values.
    """
    require()
    notes: tuple[str, ...] = ()
    if options.precision == "fp16":
        program, notes = to_half(program), (f"{options.name}.pte {_HALF}",)
        notes += half_notes(options, _ON_X86)
    elif options.precision == "int8":
        program, notes = quantise(program, options.samples)
    external = options.precision != "int8"
    lowered = lower(program, _delegate(), allowed=options.allowed, external=external)
    files = write(lowered, options.name)
    delegation = lowered.delegation
    if delegation.outside:
        share = measured_share(lowered.manager, files, options.name)
        delegation = delegation.model_copy(update={"outside_share": share})
    return Emitted(f"{options.name}.pte", files, delegation, notes)


def _delegate() -> Delegate:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return Delegate(
        backend="XnnpackBackend",
        title="XNNPACK",
        partitioner=XnnpackPartitioner(),
        loggers="executorch.backends.xnnpack.partition",
        remedy="write it with operators that the delegate takes",
    )
