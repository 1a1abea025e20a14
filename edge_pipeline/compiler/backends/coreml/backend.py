"""Core ML: `.mlpackage` files with an ML Program of fixed sizes, written on any system.

Only a Mac can run them. On other systems, `edge_pipeline.runtime.mil.evaluate` evaluates the saved
package's operators, which checks the written program and not its execution by Core ML.
"""

from __future__ import annotations

import logging
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked, Delegation
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted
from edge_pipeline.compiler.backends.coreml.convert import (
    Request,
    convert,
    quantise_weights,
    quiet,
)
from edge_pipeline.compiler.backends.coreml.package import (
    computed_weights,
    operators_of,
    package_files,
    saved,
)
from edge_pipeline.compiler.program import constants_of, layer_of
from edge_pipeline.compiler.source.shapes import tensors_of
from edge_pipeline.errors import CompileError, first_line
from edge_pipeline.optional import require as require_module
from edge_pipeline.runtime.mil.evaluate import Evaluator
from edge_pipeline.runtime.mil.package import feature_name

__all__ = ["FREE_SIZES", "PRECISIONS", "TARGET", "checked", "emit", "require"]

FREE_SIZES = False
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

# The oldest system whose operators include `quantize` and `dequantize`, which int8 activations
# require. All precisions have the same target, so that they differ only in precision.
TARGET = "iOS17"

_DELEGATE = "CoreML"
_MOST_AXES = 5
_REMEDY = "write the layer without it, or add a pass that rewrites it into operators of Core ML"
# Messages of coremltools that name an operator: if its translation fails, and if it is unknown.
_FAILURES = (
    r"converting '(?P<kind>[^']+)' op \(located at: '(?:.*/)?(?P<node>[^'/]+)'\)",
    r"Unsupported fx node (?P<node>\w+), kind (?P<kind>[\w.]+)",
)
_NEEDS = "requires iOS 17, iPadOS 17, macOS 14 or later"
_PLACEMENT = (
    "Core ML decides at load time whether the CPU, the GPU or the Neural Engine runs an operator: "
    "the number of delegated operators does not show placement or speed, which were not measured"
)
_TRANSLATION = (
    "checked by evaluating the saved program's operators in NumPy, which proves conversion and "
    "serialisation, not Core ML's execution, placement or speed"
)


def require() -> dict[str, str]:
    """Return the versions of coremltools and torch, and the program's target system.

    Raises:
        MissingExtraError: If coremltools is not installed.
    """
    # torchao, if installed, registers an enum in a way about which torch logs a warning.
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
    with quiet():
        require_module("coremltools", "coreml", "compiling for Core ML")
    return {
        "coremltools": version("coremltools"),
        "coreml_target": TARGET,
        "torch": version("torch"),
    }


def checked() -> Checked:
    """Return "verified" on a Mac, which can run the program, and "translation" elsewhere."""
    return "verified" if sys.platform == "darwin" else "translation"


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """Convert `program` to an ML Program with float32 inputs and outputs.

    Args:
        program: Program of fixed sizes.
        options: See `EmitOptions`. Core ML's names have no dots: `a.weight` is called `a_weight`.

    Raises:
        CompileError: If a tensor has more than five axes, an operator has no counterpart in Core
            ML, or the converter fails; the message names the layer.
    """
    require()
    _check(program)
    inputs, outputs = _names(options)
    with tempfile.TemporaryDirectory() as scratch, quiet() as heard:
        try:
            model, kept = _converted(program, options, inputs, outputs, Path(scratch))
        except CompileError:
            raise
        except Exception as error:  # coremltools raises many types of exceptions
            raise _refusal(error, heard, program) from error
        package = package_files(saved(model, Path(scratch)))
    file = f"{options.name}.mlpackage"
    inside = Counter(operators_of(model))
    return Emitted(
        file,
        {f"{file}/{path}": data for path, data in package.items()},
        Delegation(delegate=_DELEGATE, delegated=dict(sorted(inside.items())), outside={}),
        _notes(options, kept),
    )


def _converted(
    program: ExportedProgram,
    options: EmitOptions,
    inputs: Sequence[str],
    outputs: Sequence[str],
    scratch: Path,
) -> tuple[Any, Sequence[str]]:
    """Return the model in the requested precision, and the operators kept in single precision."""
    values, _ = tensors_of(program)
    shapes = {name: list(value.shape) for name, value in zip(inputs, values, strict=True)}
    ask = Request(program, TARGET, shapes, tuple(outputs), options.precision)
    model, kept = convert(ask)
    if options.precision != "int8":
        return model, kept
    ranges = _observed(saved(model, scratch), options, inputs)
    # A layer with weights computed at run time would lose accuracy by int8 inputs, without a gain.
    model, kept = convert(replace(ask, ranges=ranges, plain=computed_weights(model)))
    return quantise_weights(model), kept


def _check(program: ExportedProgram) -> None:
    """Raise an error for an operator that an ML Program cannot represent."""
    for kind, tensors in zip(("input", "output"), tensors_of(program), strict=True):
        if other := next((t.dtype for t in tensors if t.dtype != torch.float32), None):
            raise CompileError(
                f"the network has an {kind} in {str(other).removeprefix('torch.')}; for Core ML, "
                "inputs and outputs are float32, so convert before and after the network"
            )
    constants = constants_of(program)
    for node in program.graph.nodes:
        value = node.meta.get("val")
        values = value if isinstance(value, list | tuple) else [value]
        axes = max((v.dim() for v in values if isinstance(v, Tensor)), default=0)
        # Constants may have more axes, since they are reshaped before they are used.
        if axes > _MOST_AXES and node.op == "call_function":
            raise CompileError(
                f"{layer_of(node)}: the operator {_name(node)} returns a tensor of {axes} axes, "
                f"and Core ML has at most {_MOST_AXES}; merge axes that stay together into one"
            )
        if node.op == "call_function" and _name(node).startswith(("conv", "convolution")):
            _check_convolution(node, constants)


def _check_convolution(node: fx.Node, constants: Mapping[str, Tensor]) -> None:
    """Raise an error if Core ML does not support a convolution's weights computed at run time."""
    schema = [argument.name for argument in getattr(node.target, "_schema").arguments]  # noqa: B009
    given: dict[str, Any] = dict(zip(schema, node.args, strict=False)) | dict(node.kwargs)
    weight, bias = given.get("weight"), given.get("bias")
    if not isinstance(weight, fx.Node) or weight.name in constants:
        return
    wrong = None
    if given.get("transposed") or "transpose" in _name(node):
        wrong = "a transposed convolution requires constant weights; upsample, then convolve"
    elif any(d != 1 for d in given.get("dilation") or ()):
        wrong = "with weights computed at run time the dilation must be 1"
    elif isinstance(bias, fx.Node) and bias.name not in constants:
        wrong = "with weights computed at run time the bias must be constant; add it afterwards"
    if wrong:
        raise CompileError(f"{layer_of(node)}: Core ML does not support {_name(node)}: {wrong}")


def _name(node: fx.Node) -> str:
    """Return the short name of an operator, `conv2d` for `aten.conv2d.default`."""
    return str(node.target).removeprefix("aten.").split(".")[0]


def _names(options: EmitOptions) -> tuple[list[str], list[str]]:
    inputs, outputs = (
        list(map(feature_name, names)) for names in (options.inputs, options.outputs)
    )
    both = inputs + outputs
    if len(set(both)) != len(both):
        twice = sorted({name for name in both if both.count(name) > 1})
        raise CompileError(
            f"several tensors would have the same name in Core ML: {', '.join(twice)}; rename them"
        )
    return inputs, outputs


def _observed(
    package: Path, options: EmitOptions, inputs: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Return the range of every tensor of a saved program over the samples.

    coremltools observes ranges by running the program, which requires a Mac, and keeps only the
    last sample's range (9.0, `_update_tensor_range`). The evaluator works on any system.
    """
    if not options.samples:
        raise CompileError(
            "int8 requires samples to observe value ranges on, and none were given for "
            f"{options.name}; give a calibration set"
        )
    ranges: dict[str, tuple[float, float]] = {}

    def observe(name: str, value: NDArray[Any]) -> None:
        if value.dtype.kind == "f" and value.size:
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = (min(low, float(value.min())), max(high, float(value.max())))

    evaluator = Evaluator(package)
    for sample in options.samples:
        arrays = [np.asarray(value.detach().numpy(), np.float32) for value in sample]
        given = dict(zip(inputs, arrays, strict=True))
        for name, value in given.items():
            observe(name, value)
        evaluator.run(given, observe=observe)
    return ranges


def _refusal(error: Exception, heard: Sequence[str], program: ExportedProgram) -> CompileError:
    """Return the converter's error with the layer, found by the node name in `heard`, its log."""
    first = first_line(error)
    nodes = {node.name: node for node in program.graph.nodes}
    for line in (*heard, first):
        for pattern in _FAILURES:
            match = re.search(pattern, line)
            if match is None:
                continue
            node = nodes.get(match["node"])
            layer = layer_of(node) if node is not None else match["node"]
            return CompileError(
                f"{layer}: coremltools cannot convert the operator {match['kind']} ({first}); "
                f"{_REMEDY}"
            )
    return CompileError(f"coremltools cannot convert the program: {first}")


def _notes(options: EmitOptions, kept: Sequence[str]) -> tuple[str, ...]:
    notes = [_NEEDS, _PLACEMENT]
    if checked() == "translation":
        notes.append(_TRANSLATION)
    if options.precision != "fp32" and kept:
        notes.append(
            f"{len(kept)} operators are kept in single precision, since half precision would round "
            "one of their constants to zero; the Neural Engine does not run them"
        )
    if options.precision == "int8":
        notes.append(
            "convolutions and linear layers have int8 inputs and int8 weights with a scale per "
            "channel, and half precision around them; weights predicted at run time stay in half "
            "precision"
        )
    return tuple(notes)
