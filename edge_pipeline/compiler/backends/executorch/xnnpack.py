"""ExecuTorch with the XNNPACK delegate: `.pte` files, with the weights in `.ptd` files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked, Delegation
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted, half_notes
from edge_pipeline.compiler.backends.executorch.edge import (
    Delegate,
    Lowered,
    lower,
    require,
    together,
    write,
)
from edge_pipeline.compiler.backends.executorch.half import to_half
from edge_pipeline.compiler.backends.executorch.outside_share import measured_share
from edge_pipeline.compiler.backends.executorch.pt2e import quantise

__all__ = ["FREE_SIZES", "PRECISIONS", "checked", "emit", "emit_several", "require"]

FREE_SIZES = False
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

_HALF = "has float16 inputs and outputs; without this package, the caller must convert them"

_ON_X86 = (
    "XNNPACK's float16 kernels there convert every value to float32 and back, and took 2.0 to 2.3 "
    "times as long as float32"
)


def checked() -> Checked:
    """Return "verified", since the wheel that writes programs can also run them."""
    return "verified"


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """Lower `program` to XNNPACK, and check that the delegate accepts every operator.

    ExecuTorch identifies inputs and outputs by position, so their names are not written. Weights of
    two or more axes are stored in the `.ptd` as contiguous little-endian values, those of a
    convolution with the axes [out, height, width, in]. In int8 they stay in the `.pte`, where their
    scales are.

    Args:
        program: Program of fixed sizes.
        options: See `EmitOptions`.

    Raises:
        DelegationError: If an operator stays outside the delegate; the message names its layer and
            the partitioner's reason.
        CompileError: If ExecuTorch itself fails, or the precision cannot represent the network's
            values.
    """
    file = f"{options.name}.pte"
    lowered, notes = _lowered(program, options, file)
    files = write(lowered.manager, options.name)
    return Emitted(file, files, _timed(lowered, files, options.name), notes)


def emit_several(
    programs: Sequence[ExportedProgram], options: Sequence[EmitOptions], name: str
) -> tuple[Emitted, ...]:
    """Write programs as the methods of one `.pte` file; see `base.EmitSeveral`.

    The constants in the `.ptd` are named by their hashes, so equal ones are stored once.
    """
    file = f"{name}.pte"
    parts = [_lowered(*one, file) for one in zip(programs, options, strict=True)]
    lowered = {o.name: one for o, (one, _) in zip(options, parts, strict=True)}
    files = write(together(lowered), name)
    emitted = []
    for own, notes in zip(options, (notes for _, notes in parts), strict=True):
        delegation = lowered[own.name].delegation
        if delegation.outside:
            alone = write(lowered[own.name].manager, own.name)
            delegation = _timed(lowered[own.name], alone, own.name)
        emitted.append(Emitted(file, files, delegation, notes))
    return tuple(emitted)


def _lowered(
    program: ExportedProgram, options: EmitOptions, file: str
) -> tuple[Lowered, tuple[str, ...]]:
    """Return a program in the requested precision, lowered to XNNPACK, and notes about it."""
    require()
    notes: tuple[str, ...] = ()
    if options.precision == "fp16":
        program, notes = to_half(program), (f"{file} {_HALF}",)
        notes += half_notes(options, _ON_X86)
    elif options.precision == "int8":
        program, notes = quantise(program, options.samples, options.in_float)
    external = options.precision != "int8"
    return lower(program, _delegate(), allowed=options.allowed, external=external), notes


def _timed(lowered: Lowered, files: Mapping[str, bytes], name: str) -> Delegation:
    """Return the operators inside and outside the delegate, with the measured share of time."""
    delegation = lowered.delegation
    if not delegation.outside:
        return delegation
    share = measured_share(lowered.manager, files, name)
    return delegation.model_copy(update={"outside_share": share})


def _delegate() -> Delegate:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return Delegate(
        backend="XnnpackBackend",
        title="XNNPACK",
        partitioner=XnnpackPartitioner(),
        loggers="executorch.backends.xnnpack.partition",
        remedy="write it with operators that the delegate supports",
    )
