"""Raise products: write products with a constant matrix as linear layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["RaiseProducts"]

_ATEN = torch.ops.aten
_ADDED = _ATEN.addmm.default
_PLAIN = (_ATEN.mm.default, _ATEN.matmul.default)


class RaiseProducts:
    """Write matrix products whose right operand is a constant matrix as linear layers.

    mm, matmul(x [..., K], matrix [K, N])      -> linear(x, matrix^T)
    addmm(bias [N], x [M, K], matrix [K, N])   -> linear(x, matrix^T, bias)

    For example, CondConv mixes 4 experts of 192 values by `matmul(routing [1, 4], experts
    [4, 192])`. In int8, quantisers for XNNPACK leave this product in float32, and a linear layer
    gets one scale for each of its 192 outputs.
    """

    name = "raise_products"
    why = "quantisers store the weights of linear layers in int8, and not those of matrix products"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; products with scaled terms are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(_ADDED, *_PLAIN):
            bias, (x, matrix) = _operands(node)
            weight = editor.constant(matrix)
            if weight is None or weight.dim() != 2 or value_of(x).dim() < 2:
                continue
            if editor.constant(x) is not None or not _fits(editor, node, bias, weight):
                continue
            turned = editor.add_constant(weight.T, f"{matrix.name}_turned")
            given = [x, turned] if bias is None else [x, turned, bias]
            editor.replace(node, _linear, given, f"{node.name} became a linear layer")
        return editor.finish()


def _operands(node: fx.Node) -> tuple[fx.Node | None, tuple[fx.Node, fx.Node]]:
    """Return the addend, None if there is none, and the two factors of a product."""
    given: Any = node.args
    return (given[0], given[1:3]) if node.target is _ADDED else (None, given[:2])


def _fits(editor: Editor, node: fx.Node, bias: fx.Node | None, weight: Tensor) -> bool:
    """Return whether a linear layer can add the addend of a product."""
    if bias is None:
        return True
    held = editor.constant(bias)
    scaled = any(factor != 1 for factor in node.kwargs.values())
    return not scaled and held is not None and held.shape == weight.shape[1:]


def _linear(x: Tensor, weight: Tensor, *bias: Tensor) -> Tensor:
    return torch.nn.functional.linear(x, weight, *bias)
