"""An exported program as a `.tflite` file, through litert-torch's own steps.

`litert_torch.convert` takes a module and traces it again. Here the program that our passes made is
what gets converted: the steps behind `convert` take an `ExportedProgram`, and naming inputs and
outputs is one of them.
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

# The location that litert-torch writes is "<class>_<last part of the name>/...;<node>", and a fused
# operator has one for each of its parts. With an empty class and no dot, the whole name survives.
_MARK = "_"
_DOT = "/"


def convert(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The flatbuffer of `program`, in float32, with one signature.

    Maps are laid out by litert-torch's own pass: NHWC between, NCHW where they go in and out.
    Each operator's output is named after the source layer; see `layer_in`.

    Args:
        program: of fixed sizes.
        inputs: names for its inputs, in order.
        outputs: names for its outputs, in order.

    Raises:
        RuntimeError, ValueError, TypeError, KeyError, IndexError, AssertionError,
        NotImplementedError: litert-torch cannot take it.
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
        # As litert-torch has it: infinities are its business, and constants of 64 bits are none.
        config.canonicalizing_inf_as_min_max_float = False
        config.enable_x64 = False
        with context:
            converter_api_ext.run_convert_to_tfl_passes(module, passmanager.PassManager(), config)
            return bytes(converter_api_ext.export_flatbuffer_to_bytes(_operation(module)))


def layer_in(tensor: str) -> str:
    """The source layer that `convert` wrote into the name of an operator's output.

    Where a fused operator has several, it is the first; "the network itself" where there is none.
    """
    for part in tensor.split(";"):
        if part.startswith(_MARK) and len(part) > len(_MARK):
            return part.removeprefix(_MARK).replace(_DOT, ".")
    return "the network itself"


def _located(program: ExportedProgram) -> ExportedProgram:
    """A copy in which each node has its layer's whole name for a location."""
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
    """Keep litert-torch's progress and advice off the terminal."""
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
