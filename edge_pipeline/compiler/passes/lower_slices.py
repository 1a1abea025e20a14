"""Lower slices with steps, and selections by constant indices, to contiguous slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.movement import matrix_for, stepped, taken
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["LowerSlices"]

_ATEN = torch.ops.aten
_SLICE, _FLIP, _ROLL = _ATEN.slice.Tensor, _ATEN.flip.default, _ATEN.roll.default
_PADS = (
    _ATEN.pad.default,
    _ATEN.reflection_pad1d.default,
    _ATEN.reflection_pad2d.default,
    _ATEN.replication_pad1d.default,
    _ATEN.replication_pad2d.default,
)
_CHOICE, _INDEX = _ATEN.index_select.default, _ATEN.index.Tensor


class LowerSlices:
    """Rewrite slices and selections that are not contiguous along an axis.

    x[..., a::s]               -> slice, reshape [..., n, s], slice, reshape
    flip(x), roll(x)           -> slices and a concatenation
    pad(x) with its own values -> the same, along each axis; by negative amounts, a slice
    x[..., constant indices]   -> the same; if there are more than 16 slices, a product with a
                                  matrix of ones and zeros
    """

    name = "lower_slices"
    why = "XNNPACK slices only in steps of one, and supports no indices"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; dynamic shapes and computed or multi-axis indices stay."""
        editor = Editor(program)
        for node in editor.calls(_SLICE, _FLIP, _ROLL, _CHOICE, _INDEX, *_PADS):
            source: Any = node.args[0]
            if not has_fixed_shape(source) or not value_of(source).is_floating_point():
                continue
            if node.target is _SLICE:
                _step(editor, node, source)
            else:
                _take(editor, node, source)
        return editor.finish()


def _step(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    step: Any = node.args[4] if len(node.args) > 4 else 1
    if step == 1:
        return
    given: Any = node.args[1] if len(node.args) > 1 else 0
    dim = int(given) % value_of(source).dim()
    start: Any = node.args[2] if len(node.args) > 2 and node.args[2] is not None else 0
    size, count = int(value_of(source).shape[dim]), int(value_of(node).shape[dim])
    first = max(0, min(size, start + size if start < 0 else start))
    if count == 0:
        return

    def strided(x: Tensor) -> Tensor:
        return stepped(x, dim, first, count, step)

    editor.replace(node, strided, [source], f"a slice in steps of {step} became a reshape")


def _take(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    axes = _indices(editor, node, source)
    if not axes:
        return
    shape = value_of(source).shape
    matrices = {dim: matrix_for(indices, shape[dim]) for dim, indices in axes}
    dtype = value_of(source).dtype
    constants = {
        dim: editor.add_constant(matrix.to(dtype), f"indices_{node.name}")
        for dim, matrix in matrices.items()
        if matrix is not None
    }

    def chosen(x: Tensor, *given: Tensor) -> Tensor:
        held = dict(zip(constants, given, strict=True))
        for dim, indices in axes:
            x = taken(x, dim, indices, held.get(dim))
        return x

    note = f"{node.target} became slices or a product"
    editor.replace(node, chosen, [source, *constants.values()], note)


def _indices(editor: Editor, node: fx.Node, source: fx.Node) -> list[tuple[int, list[int]]]:
    """Return the selected indices by axis; empty if computed or of several axes at once."""
    shape, rank = [int(size) for size in value_of(source).shape], value_of(source).dim()
    given: Any = node.args[1:]
    if node.target in _PADS:
        return _padded(node, shape)
    if node.target is _FLIP:
        flips: list[int] = [d % rank for d in given[0]]
        return [(d, list(range(shape[d]))[::-1]) for d in flips]
    if node.target is _ROLL:
        return _rolled(shape, *given)
    if node.target is _CHOICE:
        index = editor.constant(given[1])
        return [] if index is None else [(given[0] % rank, _within(index, shape[given[0]]))]
    chosen = [(d, n) for d, n in enumerate(given[0]) if n is not None]
    index = editor.constant(chosen[0][1]) if len(chosen) == 1 else None
    if index is None or index.dtype == torch.bool or index.dim() != 1:
        return []
    return [(chosen[0][0], _within(index, shape[chosen[0][0]]))]


def _padded(node: fx.Node, shape: list[int]) -> list[tuple[int, list[int]]]:
    """Return the source indices of a padded map by axis; empty if it is padded by constants."""
    amounts: Any = node.args[1]
    mode: Any = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")
    if node.target is not _PADS[0]:
        mode = "reflect" if "reflection" in str(node.target) else "replicate"
    if mode == "constant":
        return _cropped(amounts, shape)
    axes = []
    for i, (before, behind) in enumerate(zip(amounts[::2], amounts[1::2], strict=True)):
        dim = len(shape) - 1 - i
        numbers = torch.arange(shape[dim], dtype=torch.float64).reshape(1, 1, -1)
        around = torch.nn.functional.pad(numbers, (before, behind), mode=mode)
        axes.append((dim, [int(number) for number in around.flatten().tolist()]))
    return [(dim, indices) for dim, indices in axes if indices != list(range(shape[dim]))]


def _cropped(amounts: list[int], shape: list[int]) -> list[tuple[int, list[int]]]:
    """Return the source indices by axis if no padding is positive; otherwise an empty list."""
    if any(amount > 0 for amount in amounts):
        return []
    return [
        (len(shape) - 1 - i, list(range(-before, shape[-1 - i] + behind)))
        for i, (before, behind) in enumerate(zip(amounts[::2], amounts[1::2], strict=True))
        if before or behind
    ]


def _rolled(
    shape: list[int], shifts: Sequence[int], dims: Sequence[int] = ()
) -> list[tuple[int, list[int]]]:
    if not dims:
        return []
    return [
        (d % len(shape), [(i - shift) % shape[d] for i in range(shape[d])])
        for shift, d in zip(shifts, dims, strict=True)
    ]


def _within(index: Tensor, size: int) -> list[int]:
    return [int(i) % size for i in index.flatten().tolist()]
