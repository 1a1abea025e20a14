"""Conversion of an exported program to a `.tflite` file with litert-torch.

`litert_torch.convert` takes a module and traces it again. This module converts the program that our
passes produced instead: it calls the steps inside `litert_torch.convert`, which accept an
`ExportedProgram` and names for inputs and outputs.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, layer_of

__all__ = ["SIGNATURE", "convert", "layer_in"]

SIGNATURE = "serving_default"

# litert-torch writes the location "<class>_<last part of the name>/...;<node>", and a fused
# operator has one for each of its parts. With an empty class and no dot, the whole name is kept.
_MARK = "_"
_DOT = "/"


def convert(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Return `program` as a flatbuffer in float32 with one signature.

    litert-torch's own pass chooses the layout of maps: NCHW for inputs and outputs, NHWC between.
    Each operator's output is named after the source layer; see `layer_in`.

    Args:
        program: Program of fixed sizes.
        inputs: Names for the program's inputs, in order.
        outputs: Names for the program's outputs, in order.

    Raises:
        RuntimeError, ValueError, TypeError, KeyError, IndexError, AssertionError,
        NotImplementedError: If litert-torch cannot convert the program.
    """
    from litert_converter.mlir import passmanager
    from litert_converter.mlir._mlir_libs import converter_api_ext
    from litert_torch import backend, fx_infra
    from litert_torch._convert import core
    from litert_torch.backend.inline_consts import InlineConstsContext

    with _quiet():
        located = fx_infra.graph_utils.reset_from_node_meta(_located(program))
        decomposed = fx_infra.safe_run_decompositions(
            located, fx_infra.decomp.pre_convert_decomp(), can_skip=False
        )
        laid_out = core._run_convert_passes(decomposed)
        context = backend.export_utils.create_ir_context()
        lowered = backend.export.exported_program_to_mlir(
            laid_out, ir_context=context, lowering_context_plugins=[InlineConstsContext()]
        )
        converter_api_ext.set_signature(
            lowered.module.operation,
            signature_name=SIGNATURE,
            input_names=list(inputs),
            output_names=list(outputs),
        )
        module = converter_api_ext.merge_modules([lowered.module])
        config = converter_api_ext.ConvertToTFLConfig()
        config.model_origin_framework = "PYTORCH"
        # As `litert_torch.convert` sets them: infinities are kept, and 64-bit constants are not.
        config.canonicalizing_inf_as_min_max_float = False
        config.enable_x64 = False
        with context:
            converter_api_ext.run_convert_to_tfl_passes(module, passmanager.PassManager(), config)
            return bytes(converter_api_ext.export_flatbuffer_to_bytes(_operation(module)))


def layer_in(tensor: str) -> str:
    """Return the source layer that `convert` wrote into the name of an operator's output.

    This is the first layer of a fused operator, and "the network itself" if there is no layer.
    """
    for part in tensor.split(";"):
        if part.startswith(_MARK) and len(part) > len(_MARK):
            return part.removeprefix(_MARK).replace(_DOT, ".")
    return "the network itself"


def _located(program: ExportedProgram) -> ExportedProgram:
    """Return a copy in which the location of each node is the full name of its layer."""
    editor = Editor(program)
    layers = {node: layer_of(node) for node in editor.graph.nodes if node.op == "call_function"}
    for node, layer in layers.items():
        node.meta["nn_module_stack"] = {"layer": (layer.replace(".", _DOT), "")}
    editor.modified = True
    return editor.finish().program


def _operation(module: Any) -> Any:
    return getattr(module, "operation", module)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the progress bar, output and warnings of litert-torch."""
    from litert_torch import progress

    shown = progress.config.show_progress
    progress.config.show_progress = False
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        progress.config.show_progress = shown
