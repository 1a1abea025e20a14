"""Decompose recurrence: write LSTM, GRU and plain recurrent layers and cells out step by step."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.recurrence import KINDS, Layout, one_step, recurrent
from edge_pipeline.compiler.program import Editor, Result, layer_of

__all__ = ["DecomposeRecurrence"]

_ATEN = torch.ops.aten
_OPERATORS = {
    _ATEN.gru.input: "gru",
    _ATEN.lstm.input: "lstm",
    _ATEN.rnn_tanh.input: "rnn_tanh",
    _ATEN.rnn_relu.input: "rnn_relu",
}
_CELLS = {
    _ATEN.gru_cell.default: "gru",
    _ATEN.rnn_tanh_cell.default: "rnn_tanh",
    _ATEN.rnn_relu_cell.default: "rnn_relu",
}
_LSTM_CELL = _ATEN.lstm_cell.default
# A program with more steps would take minutes to compile.
_MOST = 256


class DecomposeRecurrence:
    """Write recurrent layers out step by step.

    gru(x [T, N, C], h)
    becomes
    linear(x);  T times: slice, linear(h), sigmoid, tanh, products and sums;  cat

    gru_cell(x [N, C], h) -> two linear layers, slices, sigmoid, tanh, products and sums

    Each output of the operator is written out on its own; a later pass merges the common parts.
    """

    name = "decompose_recurrence"
    why = "torch's own decomposition splits and squeezes each step, which XNNPACK does not support"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; long or packed sequences and training dropout stay."""
        editor = Editor(program)
        for node in editor.calls(operator.getitem):
            origin: Any = node.args[0]
            if isinstance(origin, fx.Node) and origin.target in _OPERATORS:
                self._write(editor, node, origin)
            elif isinstance(origin, fx.Node) and origin.target is _LSTM_CELL:
                which: Any = node.args[1]
                _write_step(editor, node, "lstm", origin.args, which)
        for node in editor.calls(*_CELLS):
            target: Any = node.target
            _write_step(editor, node, _CELLS[target], node.args, 0)
        for node in editor.calls(*_OPERATORS, _LSTM_CELL):
            if not node.users:  # torch keeps the operator, since dropout is a side effect
                editor.graph.erase_node(node)
        return editor.finish()

    def _write(self, editor: Editor, node: fx.Node, origin: fx.Node) -> None:
        target: Any = origin.target
        kind: str = _OPERATORS[target]
        args: Any = origin.args
        which: Any = node.args[1]
        x, weights = args[0], list(args[2])
        state = list(args[1]) if kind == "lstm" else [args[1]]
        biases, layers, dropout, train, bidirectional, batch_first = args[3:9]
        layout = Layout(biases, layers, bidirectional, batch_first)
        if not has_fixed_shape(x) or (train and dropout) or _is_projected(layout, weights):
            return
        steps = int(x.meta["val"].shape[1 if batch_first else 0])
        if steps * layers > _MOST:
            editor.notes.append(f"{layer_of(node)}: {steps} steps are too many to write out")
            return
        count = KINDS[kind][1]

        def written(x: Tensor, *rest: Tensor) -> Tensor:
            outputs = recurrent(kind, layout, x, rest[:count], rest[count:])
            y: Tensor = outputs[which]
            return y

        note = f"{steps} steps of a {kind} are written out"
        editor.replace(node, written, [x, *state, *weights], note)


def _write_step(editor: Editor, node: fx.Node, kind: str, args: Any, which: int) -> None:
    """Replace a node by the tensor at `which` of the next state of a cell with these arguments."""
    x, state, *weights = args
    states = list(state) if kind == "lstm" else [state]
    if not has_fixed_shape(x):
        return
    weights += [None] * (4 - len(weights))
    given = [weight is not None for weight in weights]

    def written(x: Tensor, *rest: Tensor) -> Tensor:
        parts = iter(rest[len(states) :])
        own = [next(parts) if has else None for has in given]
        return one_step(kind, x, rest[: len(states)], own)[which]

    operands = [x, *states, *(weight for weight in weights if weight is not None)]
    editor.replace(node, written, operands, f"a step of a {kind} is written out")


def _is_projected(layout: Layout, weights: list[fx.Node]) -> bool:
    """Return whether states are projected, which adds one weight per direction."""
    each = 4 if layout.biases else 2
    return len(weights) != each * layout.layers * (1 + layout.bidirectional)
