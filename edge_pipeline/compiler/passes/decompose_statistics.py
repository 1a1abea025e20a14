"""Decompose statistics: rewrite variance, deviation and vector norms as sums of products."""

from __future__ import annotations

from math import inf, prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["DecomposeStatistics"]

_ATEN = torch.ops.aten
_SPREADS = (
    _ATEN.var.correction,
    _ATEN.var.dim,
    _ATEN.std.correction,
    _ATEN.std.dim,
)
_NORM = _ATEN.linalg_vector_norm.default
_COSINE = _ATEN.cosine_similarity.default


class DecomposeStatistics:
    """Rewrite variance, deviation, vector norms and cosine similarity along axes.

    var(x, dims)                -> mean of the squared differences from the mean
    std(x, dims)                -> sqrt(var(x, dims))
    linalg_vector_norm(x, 2)    -> sqrt(sum(x * x)); 1 -> sum(|x|); inf -> amax(|x|)
    cosine_similarity(x, y)     -> sum(x * y) / (|x| * |y|)
    """

    name = "decompose_statistics"
    why = "no XNNPACK delegate supports a variance or a norm, but all support their parts"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; other orders and dynamic shapes are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(*_SPREADS, _NORM, _COSINE):
            source: Any = node.args[0]
            if not has_fixed_shape(source):
                continue
            if node.target is _NORM:
                _decompose_norm(editor, node, source)
            elif node.target is _COSINE:
                _decompose_cosine(editor, node)
            else:
                _decompose_spread(editor, node, source)
        return editor.finish()


def _dims(node: fx.Node, place: int) -> tuple[list[int], bool]:
    rank = value_of(node.all_input_nodes[0]).dim()
    dims: Any = node.args[place] if len(node.args) > place else node.kwargs.get("dim")
    dims = [dims] if isinstance(dims, int) else dims or range(rank)
    later = node.args[place + 1 :]
    keep = next((a for a in later[-1:] if isinstance(a, bool)), node.kwargs.get("keepdim", False))
    return sorted(d % rank for d in dims), bool(keep)


def _decompose_spread(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    by_dim = node.target in (_ATEN.var.dim, _ATEN.std.dim)
    unbiased = node.args[2] if by_dim and len(node.args) > 2 else True
    given: Any = node.kwargs.get("correction", 1.0 if unbiased else 0.0)
    correction = 1.0 if given is None else float(given)
    dims, _ = _dims(node, 1)
    n = prod(int(value_of(source).shape[d]) for d in dims)
    keep = value_of(node).dim() == value_of(source).dim()
    if n <= correction:
        return
    rooted = node.target in (_ATEN.std.correction, _ATEN.std.dim)

    def spread(x: Tensor) -> Tensor:
        d = x - x.mean(dims, keepdim=True)
        variance = (d * d).mean(dims, keepdim=keep)
        variance = variance if correction == 0 else variance * (n / (n - correction))
        return variance.sqrt() if rooted else variance

    editor.replace(node, spread, [source], f"{node.target} became means")


def _decompose_norm(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    order: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("ord", 2)
    dims, _ = _dims(node, 2)
    keep = value_of(node).dim() == value_of(source).dim()
    if order not in (1, 2, inf):
        return

    def norm(x: Tensor) -> Tensor:
        if order == 2:
            return (x * x).sum(dims, keepdim=keep).sqrt()
        return x.abs().sum(dims, keepdim=keep) if order == 1 else x.abs().amax(dims, keepdim=keep)

    editor.replace(node, norm, [source], f"the norm of order {order} became a sum or a maximum")


def _decompose_cosine(editor: Editor, node: fx.Node) -> None:
    operands: Any = list(node.args[:2])
    dim: Any = node.args[2] if len(node.args) > 2 else 1
    least: Any = node.args[3] if len(node.args) > 3 else 1e-8

    def cosine(x: Tensor, y: Tensor) -> Tensor:
        squares = [(z * z).sum(dim).clamp(min=least * least) for z in (x, y)]
        return (x * y).sum(dim) * squares[0].rsqrt() * squares[1].rsqrt()

    editor.replace(node, cosine, operands, "a cosine became sums")
