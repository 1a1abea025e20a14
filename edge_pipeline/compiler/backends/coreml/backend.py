"""Core ML: an `.mlpackage` of one size with an ML Program, written on any system.

Off a Mac nothing can run it. There the saved package's operators are evaluated by a program of our
own (`edge_pipeline.runtime.mil.evaluate`), which proves what was written and not how Core ML
executes it.
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

# The oldest whose operators include `quantize` and `dequantize`, without which int8 is of weights
# alone; one target for all precisions, so that they differ in nothing else.
TARGET = "iOS17"

_DELEGATE = "CoreML"
_MOST_AXES = 5
_REMEDY = "write the layer without it, or add a pass that rewrites it into operators of Core ML"
# How coremltools tells what it fails at: when it translates an operator, and when it knows none.
_FAILURES = (
    r"converting '(?P<kind>[^']+)' op \(located at: '(?:.*/)?(?P<node>[^'/]+)'\)",
    r"Unsupported fx node (?P<node>\w+), kind (?P<kind>[\w.]+)",
)
_NEEDS = "needs iOS 17, iPadOS 17, macOS 14 or later"
_PLACEMENT = (
    "Core ML itself decides, when it loads the program, whether CPU, GPU or Neural Engine runs an "
    "operator: that all are Core ML's says nothing of placement or speed, which were not measured"
)
_TRANSLATION = (
    "checked by evaluating the saved program's operators in NumPy, which proves conversion and "
    "serialisation, not Core ML's execution, placement or speed"
)


def require() -> dict[str, str]:
    """Versions of coremltools and torch, and the systems that the program is for.

    Raises:
        MissingExtraError: coremltools is not installed.
    """
    # torchao, if it is there, registers an enum in a way that torch warns its makers of.
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
    with quiet():
        require_module("coremltools", "coreml", "compiling for Core ML")
    return {
        "coremltools": version("coremltools"),
        "coreml_target": TARGET,
        "torch": version("torch"),
    }


def checked() -> Checked:
    """On a Mac, Core ML runs what was written; elsewhere its translation can be checked."""
    return "verified" if sys.platform == "darwin" else "translation"


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """Convert `program` to an ML Program with float32 inputs and outputs.

    Args:
        program: of fixed sizes.
        options: see `EmitOptions`. Core ML's names have no dots: `a.weight` is called `a_weight`.

    Raises:
        CompileError: a tensor has more than five axes, an operator has no counterpart, or the
            converter fails; the layer is named.
    """
    require()
    _check(program)
    inputs, outputs = _names(options)
    with tempfile.TemporaryDirectory() as scratch, quiet() as heard:
        try:
            model, kept = _converted(program, options, inputs, outputs, Path(scratch))
        except CompileError:
            raise
        except Exception as error:  # coremltools raises whatever its functions come upon
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
    """The model in the options's precision, and what was kept in single precision."""
    values, _ = tensors_of(program)
    shapes = {name: list(value.shape) for name, value in zip(inputs, values, strict=True)}
    ask = Request(program, TARGET, shapes, tuple(outputs), options.precision)
    model, kept = convert(ask)
    if options.precision != "int8":
        return model, kept
    ranges = _observed(saved(model, scratch), options, inputs)
    # Where weights are computed at run time, an int8 input would lose accuracy for nothing.
    model, kept = convert(replace(ask, ranges=ranges, plain=computed_weights(model)))
    return quantise_weights(model), kept


def _check(program: ExportedProgram) -> None:
    """Refuse what an ML Program has no form for, by the layer that it comes from."""
    constants = constants_of(program)
    for node in program.graph.nodes:
        value = node.meta.get("val")
        values = value if isinstance(value, list | tuple) else [value]
        axes = max((v.dim() for v in values if isinstance(v, Tensor)), default=0)
        # A constant of more axes is laid out anew before it is used.
        if axes > _MOST_AXES and node.op == "call_function":
            raise CompileError(
                f"{layer_of(node)}: the operator {_name(node)} gives a tensor of {axes} axes, and "
                f"Core ML has at most {_MOST_AXES}; reshape it so that axes which stay together "
                "are one"
            )
        if node.op == "call_function" and _name(node).startswith(("conv", "convolution")):
            _check_convolution(node, constants)


def _check_convolution(node: fx.Node, constants: Mapping[str, Tensor]) -> None:
    """A convolution may have weights computed at run time, with restrictions."""
    schema = [argument.name for argument in getattr(node.target, "_schema").arguments]  # noqa: B009
    given: dict[str, Any] = dict(zip(schema, node.args, strict=False)) | dict(node.kwargs)
    weight, bias = given.get("weight"), given.get("bias")
    if not isinstance(weight, fx.Node) or weight.name in constants:
        return
    wrong = None
    if given.get("transposed") or "transpose" in _name(node):
        wrong = "a transposed convolution takes constant weights alone; upsample, then convolve"
    elif any(d != 1 for d in given.get("dilation") or ()):
        wrong = "with weights computed at run time the dilation must be 1"
    elif isinstance(bias, fx.Node) and bias.name not in constants:
        wrong = "with weights computed at run time the bias must be constant; add it afterwards"
    if wrong:
        raise CompileError(f"{layer_of(node)}: Core ML cannot take {_name(node)}: {wrong}")


def _name(node: fx.Node) -> str:
    """`aten.conv2d.default` as `conv2d`."""
    return str(node.target).removeprefix("aten.").split(".")[0]


def _names(options: EmitOptions) -> tuple[list[str], list[str]]:
    inputs, outputs = (
        list(map(feature_name, names)) for names in (options.inputs, options.outputs)
    )
    both = inputs + outputs
    if len(set(both)) != len(both):
        twice = sorted({name for name in both if both.count(name) > 1})
        raise CompileError(f"Core ML would know several tensors as {', '.join(twice)}; rename them")
    return inputs, outputs


def _observed(
    package: Path, options: EmitOptions, inputs: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """The range of every tensor of a saved program over the samples.

    coremltools observes by running the program, for which it needs a Mac, and keeps the last
    sample's range only (9.0, `_update_tensor_range`). Evaluated, a program gives them anywhere.
    """
    if not options.samples:
        raise CompileError(f"{options.name} in int8 needs samples to observe ranges on; give some")
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
    """What the converter said, with the layer; it logs the operator's name in torch's graph."""
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
                f"{layer}: Core ML cannot take the operator {match['kind']} ({first}); {_REMEDY}"
            )
    return CompileError(f"coremltools cannot convert the program: {first}")


def _notes(options: EmitOptions, kept: Sequence[str]) -> tuple[str, ...]:
    notes = [_NEEDS, _PLACEMENT]
    if checked() == "translation":
        notes.append(_TRANSLATION)
    if options.precision != "fp32" and kept:
        notes.append(
            f"{len(kept)} operators are kept in single precision, since half precision takes one "
            "of their constants for zero; the Neural Engine does not run those"
        )
    if options.precision == "int8":
        notes.append(
            "int8 weights a channel and int8 inputs of convolutions and linear layers, with half "
            "precision around them; what is predicted at run time stays in half precision"
        )
    return tuple(notes)
