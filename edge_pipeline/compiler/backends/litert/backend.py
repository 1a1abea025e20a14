"""LiteRT with the XNNPACK delegate: `.tflite` files of fixed sizes, fully delegated."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked, Delegation
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.analysis.alone import conversion_error
from edge_pipeline.compiler.analysis.origin import line_of
from edge_pipeline.compiler.analysis.refusals import Refused, refusal
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted, half_notes
from edge_pipeline.compiler.backends.litert.concatenation import split_concatenations
from edge_pipeline.compiler.backends.litert.convert import convert
from edge_pipeline.compiler.backends.litert.delegation import (
    Operator,
    Placement,
    measured_share,
    place,
)
from edge_pipeline.compiler.backends.litert.merging import merged
from edge_pipeline.compiler.backends.litert.quantize import (
    dynamic_range,
    half,
    permit_half_arithmetic,
    static,
)
from edge_pipeline.compiler.program import constants_of, layer_of
from edge_pipeline.compiler.source.shapes import tensors_of
from edge_pipeline.errors import CompileError, DelegationError, first_line
from edge_pipeline.optional import require as require_module
from edge_pipeline.runtime.native import native_silence

__all__ = ["FREE_SIZES", "PRECISIONS", "checked", "emit", "emit_several", "require"]

FREE_SIZES = False
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

_DELEGATE = "XNNPACK"
_PACKAGES = ("litert-torch", "ai-edge-litert", "ai-edge-quantizer", "torch")
# Remedies by operator; most are passes of this compiler.
_REMEDIES = {
    "MIRROR_PAD": "pad by slices and concatenation, as the pass lower_padding does",
    "RELU_0_TO_1": "clamp in two steps, as the pass lower_clamp does",
    "CONV_2D": "write it as matrix products, as the pass lower_convolution does, or make its "
    "weights parameters",
    **dict.fromkeys(
        ("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "SELECT", "SELECT_V2", "SIGN"),
        "write it with relu, clamp, minimum or maximum",
    ),
}
# The smallest normal float16. ARM processors may flush smaller numbers to zero.
_SMALLEST_HALF = 2.0**-14
_ON_X86 = "XNNPACK converts the weights to float32 when it loads the file and computes in float32"
_FAILURES = (
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AssertionError,
    NotImplementedError,
)


def require() -> dict[str, str]:
    """Return the versions of the packages that write the file, and of torch.

    Raises:
        MissingExtraError: If litert-torch, ai-edge-litert or ai-edge-quantizer is not installed.
    """
    # torchao, a dependency, registers an enum in a way about which torch logs a warning.
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
    with native_silence():
        for module in ("litert_torch", "ai_edge_litert.interpreter", "ai_edge_quantizer.quantizer"):
            require_module(module, "litert", "compiling for LiteRT")
    return {package: version(package) for package in _PACKAGES}


def checked() -> Checked:
    """Return "verified", since the packages that write the file include its runtime."""
    return "verified"


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """Write `program` as a `.tflite` file, and check that XNNPACK accepts every operator.

    Constants are stored uncompressed in little-endian byte order. The axes of a convolution's
    filter are in the order out, rows, columns, in (OHWI).

    Args:
        program: Program of fixed sizes.
        options: See `EmitOptions`.

    Raises:
        DelegationError: If operators that `options` does not allow stay outside the delegate; the
            message names all of them.
        CompileError: If litert-torch or the quantizer fails.
    """
    require()
    with native_silence():
        data = _converted(program, options)
        data, notes = _in_precision(data, program, options)
        placement = _placed(data, program)
        _refuse(placement, program, options)
        share = measured_share(data, placement.outside) if placement.outside else None
    file = f"{options.name}.tflite"
    notes += half_notes(options, _ON_X86)
    return Emitted(file, {file: data}, _delegation(placement, share), notes)


def emit_several(
    programs: Sequence[ExportedProgram], options: Sequence[EmitOptions], name: str
) -> tuple[Emitted, ...]:
    """Write programs as the signatures of one `.tflite` file; see `base.EmitSeveral`."""
    written = [emit(*one) for one in zip(programs, options, strict=True)]
    parts = {o.name: e.files[e.file] for o, e in zip(options, written, strict=True)}
    file = f"{name}.tflite"
    try:
        files = {file: merged(parts)}
    except _FAILURES as error:
        raise CompileError(
            f"the programs {', '.join(parts)} cannot be merged into one file: "
            f"{first_line(error)[:300]}"
        ) from error
    return tuple(replace(one, file=file, files=files) for one in written)


def _converted(program: ExportedProgram, options: EmitOptions) -> bytes:
    try:
        return split_concatenations(convert(program, options.inputs, options.outputs))
    except _FAILURES as error:
        raise conversion_error(program, _convert_alone, _FAILURES, "litert-torch") from error


def _convert_alone(program: ExportedProgram) -> bytes:
    inputs, outputs = tensors_of(program)
    names = [[f"{kind}{i}" for i in range(len(of))] for kind, of in (("x", inputs), ("y", outputs))]
    return convert(program, *names)


def _placed(data: bytes, program: ExportedProgram) -> Placement:
    try:
        return place(data)
    except _FAILURES as error:
        raise conversion_error(
            program, lambda one: place(_convert_alone(one)), _FAILURES, "LiteRT"
        ) from error


def _in_precision(
    data: bytes, program: ExportedProgram, options: EmitOptions
) -> tuple[bytes, tuple[str, ...]]:
    """Return the file in the requested precision, and notes about it."""
    if options.precision == "fp32":
        return data, ()
    try:
        if options.precision == "fp16":
            return _in_half(data, program, options)
        computed = [o for o in place(data).operators if o.computed_product]
        if not computed:
            note = (
                "int8 with ranges observed on samples; sigmoid and operators that XNNPACK does not "
                "run in integers stay in float32"
            )
            return static(data, options.inputs, options.samples, options.in_float), (
                f"{options.name}: {note}",
            )
        note = (
            "constant weights are int8, with dynamic ranges; convolutions whose weights are "
            f"computed at run time (the first is {computed[0].layer}) stay in float32"
        )
        return dynamic_range(data, options.in_float), (f"{options.name}: {note}",)
    except _FAILURES as error:
        raise CompileError(
            f"ai-edge-quantizer cannot write {options.name} in {options.precision}: "
            f"{first_line(error)[:300]}"
        ) from error


def _in_half(
    data: bytes, program: ExportedProgram, options: EmitOptions
) -> tuple[bytes, tuple[str, ...]]:
    tiny = [value for value in _scalars(program) if 0 < abs(value) < _SMALLEST_HALF]
    if tiny:
        return half(data), (
            f"{options.name}: weights are float16 and all arithmetic is float32, since float16 "
            f"arithmetic can turn the constant {tiny[0]:g} into zero and then divide by zero",
        )
    return permit_half_arithmetic(half(data)), (
        f"{options.name}: weights are float16; arithmetic is float16 on ARM processors with "
        "float16 instructions, which was not run here, and float32 on other processors, as on the "
        "machine that compiled it",
    )


def _scalars(program: ExportedProgram) -> list[float]:
    """Return the float arguments of operators, and the constants of one element."""
    given = [a for n in program.graph.nodes for a in n.args if isinstance(a, float)]
    held = [float(t) for t in constants_of(program).values() if t.numel() == 1]
    return given + held


def _refuse(placement: Placement, program: ExportedProgram, options: EmitOptions) -> None:
    """Raise an error for all operators that stay outside the delegate and are not allowed to."""
    allowed = {name.lower() for name in options.allowed}
    strays = [o for o in placement.outside if not (o.converts or o.kind.lower() in allowed)]
    if strays:
        lines = _lines(program)
        heading = f"{len(strays)} operators stay outside XNNPACK and cut the program into parts"
        raise DelegationError(refusal(heading, [_refused(o, lines) for o in strays]))


def _refused(operator: Operator, lines: dict[str, str]) -> Refused:
    kind = operator.kind
    problem = (
        f"the operator {kind} stays outside XNNPACK ({operator.reason()}), where a slower kernel "
        "runs it"
    )
    remedy = _REMEDIES.get(kind, "write it with operators that the delegate supports")
    line = lines.get(operator.layer, "")
    return Refused(
        operator.layer, line, problem, f"{remedy}, or give --allow-outside {kind.lower()}"
    )


def _lines(program: ExportedProgram) -> dict[str, str]:
    """Return the source lines of each layer; the file does not map operators to single lines."""
    found: dict[str, list[str]] = {}
    for node in program.graph.nodes:
        if node.op == "call_function" and (line := line_of(node)):
            found.setdefault(layer_of(node), []).append(line)
    return {layer: " or ".join(dict.fromkeys(lines)) for layer, lines in found.items()}


def _delegation(placement: Placement, share: float | None) -> Delegation:
    inside, outside = (
        Counter(o.kind for o in part) for part in (placement.inside, placement.outside)
    )
    return Delegation(
        delegate=_DELEGATE,
        delegated=dict(sorted(inside.items())),
        outside=dict(sorted(outside.items())),
        outside_share=share,
    )
