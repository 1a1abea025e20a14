"""ONNX models for ONNX Runtime, with free height and width if the program has them.

Weights are stored in a separate file beside the model, so that they can be exchanged without
changing the model. Decisions and measurements: `docs/decisions/0010-onnx-runtime.md`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked, Delegation
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.analysis.alone import conversion_error
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted, half_notes
from edge_pipeline.compiler.backends.onnx.precision import to_half, to_int8
from edge_pipeline.compiler.backends.onnx.sizes import locate_sizes, separate_sizes
from edge_pipeline.compiler.quiet import quiet
from edge_pipeline.compiler.source.shapes import Letters
from edge_pipeline.optional import require as require_module

__all__ = ["FREE_SIZES", "MOVABLE", "OPSET", "PRECISIONS", "checked", "emit", "require"]

FREE_SIZES = True
MOVABLE = True
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

# The first opset with GELU as one operator; ONNX Runtime supports it since version 1.17.
OPSET = 20

_DELEGATE = "onnxruntime"

# Exceptions that the exporter raises for any kind of failure.
_FAILURES = (RuntimeError, ValueError, TypeError, KeyError, IndexError, AssertionError)

# The offset of each weight in its file is a multiple of a cache line, in bytes.
_ALIGNMENT = 64

_HALF = "ONNX Runtime has no float16 kernels for x86 and computes in float32 between casts"
_NOTES: dict[Precision, tuple[str, ...]] = {
    "fp32": (),
    "fp16": (),
    "int8": (
        "convolutions and linear layers with constant weights are int8; those with weights "
        "computed at run time stay in float32, since quantising these weights in every run would "
        "cost more time than int8 saves",
        "operators between quantised layers (activations, sums, padding, resizing) stay in float32 "
        "and in planar layout, and the conversions around them take most of the time that int8 "
        "convolutions save: the default network took 57 ms, against 71 ms in float32, on one x86 "
        "thread with VNNI",
        "activations are unsigned and weights are signed; on x86 processors without VNNI, sums of "
        "their products can saturate",
    ),
}


def require() -> dict[str, str]:
    """Return the versions of the packages that write the file, and the opset.

    Raises:
        MissingExtraError: If onnx or onnxscript is not installed.
    """
    for module in ("onnx", "onnxscript"):
        require_module(module, "onnx", "compiling to ONNX")
    return {
        "onnx": version("onnx"),
        "onnxscript": version("onnxscript"),
        "onnx_opset": str(OPSET),
        "torch": version("torch"),
    }


def checked() -> Checked:
    """Return "verified", since ONNX Runtime is part of the base installation."""
    return "verified"


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """Write `program` as `NAME.onnx` and its weights as `NAME.onnx.data`.

    The exporter's notes about this machine (paths, stack traces) are removed, so that two
    compilations produce the same bytes.

    Args:
        program: Program after the passes; its sizes may be symbolic.
        options: See `EmitOptions`.

    Raises:
        CompileError: If the exporter fails, a weight exceeds float16's range, or int8 has no
            samples.
    """
    require()
    model = _export(program, options)
    if options.precision != "int8":  # in int8, the quantisation ranges absorb clamps
        _clamp_in_blocks(model)
    if options.precision == "fp16":
        to_half(model)
    elif options.precision == "int8":
        model = to_int8(model, options.inputs, options.samples, options.in_float)
    _strip(model)
    _name_sizes(model, program)
    operators = Counter(node.op_type for node in model.graph.node)
    delegation = Delegation(
        delegate=_DELEGATE, delegated=dict(sorted(operators.items())), outside={}
    )
    file = f"{options.name}.onnx"
    weights, shared = _move_weights(model, f"{file}.data", options.stored)
    if options.movable:
        content, sizes = locate_sizes(model, separate_sizes(model))
    else:
        content, sizes = model.SerializeToString(deterministic=True), ()
    files = {file: content}
    if weights:
        files[f"{file}.data"] = weights
    notes = (*_NOTES[options.precision], *half_notes(options, _HALF))
    return Emitted(file, files, delegation, notes, shared, sizes)


def _export(program: ExportedProgram, options: EmitOptions) -> Any:
    """Return the program as a float32 ModelProto that contains its weights."""
    try:
        exported = _exported(program, options.inputs, options.outputs)
        _simplify(exported.model)
    except _FAILURES as error:
        raise conversion_error(program, _exported, _FAILURES, "torch's ONNX exporter") from error
    return exported.model_proto


def _exported(
    program: ExportedProgram, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> Any:
    with quiet():
        return torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs) or None,
            output_names=list(outputs) or None,
            external_data=False,
            optimize=False,
            verbose=False,
        )


def _clamp_in_blocks(model: Any) -> None:
    """Replace each clamp to [0, 1] by HardSigmoid(1 * x + 0), which computes the same.

    ONNX Runtime runs HardSigmoid in its blocked channel layout and fuses it into a convolution. It
    runs Clip in planar layout, and reorders whole maps before and after it. Only convolutions with
    constant weights run in blocked layout, so a model with any other convolution is not changed.
    """
    onnx: Any = require_module("onnx", "onnx", "compiling to ONNX")
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    if any(n.op_type == "Conv" and n.input[1] not in constants for n in model.graph.node):
        return
    for node in model.graph.node:
        limits = [constants.get(name) for name in node.input[1:]]
        if node.op_type != "Clip" or len(limits) != 2 or None in limits:
            continue
        if [onnx.numpy_helper.to_array(limit).item() for limit in limits] == [0.0, 1.0]:
            node.op_type = "HardSigmoid"
            del node.input[1:]
            node.attribute.append(onnx.helper.make_attribute("alpha", 1.0))
            node.attribute.append(onnx.helper.make_attribute("beta", 0.0))
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for name, tensor in constants.items() if name in used]
    copies = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
    del model.graph.initializer[:]
    model.graph.initializer.extend(copies)


def _move_weights(
    model: Any, file: str, stored: Mapping[str, bytes]
) -> tuple[bytes, tuple[str, ...]]:
    """Move the weights of `model` to the external data file `file`.

    Weights that a stored file contains are read from there. Returns the content of `file`, and the
    names of the stored files that the model refers to.

    Integers (shapes, axes), the scales of a Resize, and scalars stay in the model: they belong to
    the program, and shape inference reads some of them before the file is opened.
    """
    onnx: Any = require_module("onnx", "onnx", "compiling to ONNX")
    whole = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    kept = {name for n in model.graph.node if n.op_type == "Resize" for name in n.input[1:]}
    content = bytearray()
    shared: list[str] = []
    for tensor in model.graph.initializer:
        if not tensor.dims or tensor.data_type in whole or tensor.name in kept:
            continue
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name)
        )
        data = tensor.raw_data
        place = _place_of(data, stored)
        if place is None:
            content += bytes(-len(content) % _ALIGNMENT)
            place = (file, len(content))
            content += data
        else:
            shared.append(place[0])
        name, offset = place
        onnx.external_data_helper.set_external_data(tensor, name, offset=offset, length=len(data))
        tensor.ClearField("raw_data")
    return bytes(content), tuple(dict.fromkeys(shared))


def _place_of(data: bytes, stored: Mapping[str, bytes]) -> tuple[str, int] | None:
    """Return the file and the aligned offset at which equal bytes are stored."""
    for name, content in stored.items():
        offset = content.find(data)
        if offset >= 0 and not offset % _ALIGNMENT:
            return name, offset
    return None


def _simplify(model: Any) -> None:
    """Fold constants and remove unused and duplicate parts, as the exporter's own optimizer does.

    The exporter's optimizer also applies rewrite rules and treats a constant within 1e-8 of zero as
    zero: it removes the `+ 1e-12` that keeps a HyperConv's normalisation from computing 0 / 0.
    """
    passes: Any = require_module("onnx_ir.passes.common", "onnx", "compiling to ONNX")
    from onnxscript.optimizer import fold_constants

    passes.InlinePass()(model)
    fold_constants(model)
    for step in (
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedFunctionsPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.NameFixPass(),
    ):
        step(model)


def _strip(model: Any) -> None:
    """Remove metadata that describes this machine and not the network."""
    del model.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    del model.graph.metadata_props[:]
    for item in [*model.graph.node, *model.graph.value_info, *model.graph.initializer]:
        item.doc_string = ""
        del item.metadata_props[:]
    for value in [*model.graph.input, *model.graph.output]:
        value.doc_string = ""
        del value.metadata_props[:]


def _name_sizes(model: Any, program: ExportedProgram) -> None:
    """Rename free sizes from torch's symbols to the manifest's letters, as in `16*h`."""
    letters = Letters.of(program)
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    for value in values:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.HasField("dim_param"):
                dimension.dim_param = re.sub(
                    r"[A-Za-z_]\w*",
                    lambda match: letters.by_symbol.get(match.group(), match.group()),
                    dimension.dim_param,
                )
