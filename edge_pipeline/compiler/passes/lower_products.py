"""Lower products: rewrite products of computed tensors as batched products of three axes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import arrived, chain, has_fixed_shape
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["LowerProducts"]

_ATEN = torch.ops.aten
_LINEAR, _ADDED, _BATCH_ADDED = (
    _ATEN.linear.default,
    _ATEN.addmm.default,
    _ATEN.baddbmm.default,
)
_BATCHED = _ATEN.bmm.default
# The permutation of [N, 1, K] in `_turned`.
_TURN = [2, 1, 0]
_PLAIN = (_ATEN.mm.default, _ATEN.matmul.default, _ATEN.mv.default, _ATEN.dot.default)


class LowerProducts:
    """Rewrite matrix products whose right operand is computed.

    linear(x, weight, bias)   -> bmm(x, weight^T) + bias
    mm, matmul, mv, dot(x, y) -> bmm, with the axes before the last two merged
    matmul(x [B, h, M, K], y [B, 1, K, N]) -> bmm(x as [B, h * M, K], y)
    addmm, baddbmm(a, x, y)   -> a * beta + bmm(x, y) * alpha
    bmm(x, transpose(y [1, N, K])) -> bmm(x, y permuted as [N, 1, K])

    A product with a constant keeps its operator, whose weights are packed ahead of time. LiteRT's
    converter would turn the last of these into a linear layer with computed weights; it does not
    recognise a permutation of [N, 1, K] as a transposition.
    """

    name = "lower_products"
    why = "XNNPACK packs the weights of a linear layer, and multiplies computed ones only by bmm"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; dynamic shapes are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(_LINEAR, _ADDED, _BATCH_ADDED, _BATCHED, *_PLAIN):
            operands = [operand for operand in node.args if isinstance(operand, fx.Node)]
            place = 2 if node.target in (_ADDED, _BATCH_ADDED) else 1
            constant = editor.constant(operands[place]) is not None
            if not all(map(has_fixed_shape, operands)):
                continue
            left, right = (value_of(operand).shape for operand in operands[place - 1 : place + 1])
            if node.target is _LINEAR and not constant:
                _lower_linear(editor, node, operands)
            elif node.target is _BATCH_ADDED or (node.target is _ADDED and not constant):
                _lower_added(editor, node, operands)
            elif node.target is _BATCHED:
                source = _turned_source(operands[1])
                if source is not None and editor.constant(source) is None:
                    _lower(editor, node, operands)
            elif node.target in _PLAIN and _is_lowered(left, right, constant=constant):
                _lower(editor, node, operands)
        return editor.finish()


def _is_lowered(left: torch.Size, right: torch.Size, *, constant: bool) -> bool:
    return len(right) > 2 or not constant


def _product(x: Tensor, y: Tensor) -> Tensor:
    """Return the values of x @ y, [B, M, N], for any ranks.

    If y has size 1 along the last leading axes of x, these are more rows of x; other axes along
    which one operand has size 1 are expanded.
    """
    x = x.reshape(1, -1) if x.dim() == 1 else x
    y = y.reshape(-1, 1) if y.dim() == 1 else y
    lead: torch.Size = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])  # type: ignore[no-untyped-call]
    x, y = (v.reshape(*[1] * (len(lead) + 2 - v.dim()), *v.shape) for v in (x, y))
    shared = len(lead)
    while shared and y.shape[shared - 1] == 1:
        shared -= 1
    x, y = _expanded(x, lead[:shared]), _expanded(y, lead[:shared])
    batch = lead[:shared].numel()
    return torch.bmm(x.reshape(batch, -1, x.shape[-1]), y.reshape(batch, *y.shape[-2:]))


def _expanded(x: Tensor, lead: torch.Size) -> Tensor:
    """Return x with the sizes `lead` along its first axes."""
    return x if x.shape[: len(lead)] == lead else x.expand(*lead, *x.shape[len(lead) :])


def _turned(y: Tensor, n: int, k: int) -> Tensor:
    """Return the transpose [K, N] of a matrix [N, K] that may have other axes of size 1."""
    return y.reshape(n, 1, k).permute(_TURN).reshape(k, n)


def _turned_source(node: fx.Node) -> fx.Node | None:
    """Return the single matrix of which `node` is the transpose, by any movements; else None.

    The result is also None if the permutation of `_turned` has been used already.
    """
    shape = value_of(node).shape
    path = chain(node)
    while value_of(path[0]).numel() != shape.numel():
        path.pop(0)  # the operand of a slice has other values too
    if len(path) == 1 or len(shape) < 2 or shape[:-2].numel() != 1 or 1 in shape[-2:]:
        return None
    if any(n.target is _ATEN.permute.default and n.args[1] == _TURN for n in path[1:]):
        return None
    numbers = torch.arange(shape.numel())
    moved = arrived(numbers.reshape(value_of(path[0]).shape), path[1:])
    expected = numbers.reshape(shape[-1], shape[-2]).T
    return path[0] if torch.equal(moved.reshape(shape[-2:]), expected) else None


def _lower(editor: Editor, node: fx.Node, operands: list[fx.Node]) -> None:
    shape, source = value_of(node).shape, _turned_source(operands[1])
    turned = source is not None and editor.constant(source) is None
    given = [operands[0], source] if turned and source is not None else operands
    k, n = value_of(operands[1]).shape[-2:] if turned else (0, 0)

    def batched(x: Tensor, y: Tensor) -> Tensor:
        return _product(x, _turned(y, n, k) if turned else y).reshape(shape)

    editor.replace(node, batched, given, f"{node.target} became a batched product")


def _lower_linear(editor: Editor, node: fx.Node, operands: list[fx.Node]) -> None:
    shape = value_of(node).shape

    def batched(x: Tensor, weight: Tensor, *bias: Tensor) -> Tensor:
        y = _product(x, _turned(weight, *weight.shape)).reshape(shape)
        return y + bias[0] if bias else y

    note = "a linear layer with computed weights became a batched product"
    editor.replace(node, batched, operands, note)


def _lower_added(editor: Editor, node: fx.Node, operands: list[fx.Node]) -> None:
    shape = value_of(node).shape
    given: Any = dict(node.kwargs)
    alpha, beta = float(given.get("alpha", 1)), float(given.get("beta", 1))

    def added(a: Tensor, x: Tensor, y: Tensor) -> Tensor:
        product = _product(x, y).reshape(shape)
        product = product if alpha == 1 else product * alpha
        return product + (a if beta == 1 else a * beta)

    editor.replace(node, added, operands, f"{node.target} became a batched product and a sum")
