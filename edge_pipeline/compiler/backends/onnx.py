"""ONNX for ONNX Runtime: height and width left open where the program leaves them open."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import torch
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked, Delegation
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.backends.base import Emitted, Order
from edge_pipeline.compiler.shapes import Letters
from edge_pipeline.errors import CompileError
from edge_pipeline.optional import require as require_module

__all__ = ["FREE_SIZES", "OPSET", "PRECISIONS", "checked", "emit", "require"]

FREE_SIZES = True
PRECISIONS: tuple[Precision, ...] = ("fp32",)

# The first with GELU as one operator; every ONNX Runtime since 1.17 runs it.
OPSET = 20

_DELEGATE = "onnxruntime"


def require() -> dict[str, str]:
    """Versions of what writes the file, and its opset.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
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
    """ONNX Runtime comes with the base install."""
    return "verified"


def emit(program: ExportedProgram, order: Order) -> Emitted:
    """Write `program` as one ONNX file, the weights in it.

    What the exporter notes about this machine (paths, stack traces) is left out, so that two
    compilations give the same bytes.

    Args:
        program: sizes may be symbolic.
        order: how; see `Order`.

    Raises:
        CompileError: the exporter fails.
    """
    require()
    try:
        with _quiet():
            exported: Any = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(order.inputs),
                output_names=list(order.outputs),
                external_data=False,
                optimize=False,
                verbose=False,
            )
            _simplify(exported.model)
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise CompileError(f"the ONNX exporter cannot take the program: {first[0]}") from error
    model = exported.model_proto
    _strip(model)
    _name_sizes(model, program)
    operators = Counter(node.op_type for node in model.graph.node)
    delegation = Delegation(
        delegate=_DELEGATE, delegated=dict(sorted(operators.items())), outside={}
    )
    file = f"{order.name}.onnx"
    return Emitted(file, {file: model.SerializeToString(deterministic=True)}, delegation)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and advice off the terminal."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


def _simplify(model: Any) -> None:
    """Fold constants and drop what is unused or double, as the exporter's own optimizer does.

    That one also applies rewriting rules, and takes a constant within 1e-8 of zero for zero: it
    removes the `+ 1e-12` that keeps a HyperConv's normalisation from dividing zero by zero.
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
    """Remove what tells about this machine and not about the network."""
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
    """Write free sizes as the manifest does, `16*h`, in the place of torch's symbols."""
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
