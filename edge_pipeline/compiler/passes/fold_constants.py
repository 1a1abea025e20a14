"""Fold constants: what depends on constants alone is computed once, now."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result

__all__ = ["FoldConstants"]


class FoldConstants:
    """Replace an operator all of whose tensors are constants by its value.

    constant [1, O, C, 3, 3] -> reshape [O, C, 3, 3] -> conv2d(x, .)
    becomes
    constant [O, C, 3, 3] -> conv2d(x, .)

    ExecuTorch's lowering does not do this for parameters, and a convolution whose weight is a
    computed constant then stays outside the delegate (pytorch/executorch issue 22078).
    """

    name = "fold_constants"
    why = "a backend packs a weight ahead of time only if it is a constant, not an expression"

    def run(self, program: ExportedProgram) -> Result:
        """See the class; operators without any tensor operand stay."""
        editor = Editor(program)
        for node in editor.calls(*{n.target for n in editor.graph.nodes}):
            operands = node.all_input_nodes
            if not operands or any(n.name not in editor.constants for n in operands):
                continue
            if isinstance(node.meta.get("val"), Tensor):
                value = _evaluate(node, editor.constants)
                constant = editor.add_constant(value.clone(), f"folded_{node.name}")
                editor.substitute(node, constant, f"computed {node.target} ahead of time")
        return editor.finish()


def _evaluate(node: fx.Node, constants: dict[str, Tensor]) -> Tensor:
    operator: Any = node.target
    args: Any = fx.node.map_arg(node.args, lambda n: constants[n.name])
    kwargs: Any = fx.node.map_arg(node.kwargs, lambda n: constants[n.name])
    with torch.no_grad():
        value: Tensor = operator(*args, **kwargs)
    return value
