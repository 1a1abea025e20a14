"""Decompose an einsum of two tensors into a batched product."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.program import Editor, Result, layer_of, value_of

__all__ = ["DecomposeEinsum"]

_EINSUM = torch.ops.aten.einsum.default


class _Letters(NamedTuple):
    """The axes of a product of two tensors, by their letters.

    Attributes:
        left: Axes of the first tensor, in order.
        right: Axes of the second tensor, in order.
        result: Axes of the result, in order.
        batch: Axes that all three have.
        summed: Axes that only the two operands have.
    """

    left: str
    right: str
    result: str
    batch: str
    summed: str

    @classmethod
    def of(cls, equation: str) -> _Letters | None:
        """Return the letters of `ab,bc->ac`; None if it is not a plain product of two tensors."""
        text = equation.replace(" ", "")
        if text.count(",") != 1 or "->" not in text or "." in text:
            return None
        operands, result = text.split("->")
        left, right = operands.split(",")
        if any(len(set(part)) != len(part) for part in (left, right, result)):
            return None
        both = [letter for letter in left if letter in right]
        if any(letter not in right and letter not in result for letter in left):
            return None
        if any(letter not in left and letter not in result for letter in right):
            return None
        batch = "".join(letter for letter in both if letter in result)
        return cls(left, right, result, batch, "".join(x for x in both if x not in result))

    def own(self, side: str) -> str:
        """Return the letters of one operand, `side`, that the other operand lacks."""
        return "".join(letter for letter in side if letter not in self.batch + self.summed)


class DecomposeEinsum:
    """Rewrite an einsum of two tensors.

    einsum("bti,oi->bto", x, y)
    becomes
    permute and reshape to [batch, own, summed] and [batch, summed, own] -> bmm -> back
    """

    name = "decompose_einsum"
    why = "the runtime's converter may write an einsum as a layer with computed weights"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; other einsums and dynamic shapes are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(_EINSUM):
            operands: Any = node.args[1]
            letters = _Letters.of(str(node.args[0]))
            if letters is None or not all(map(has_fixed_shape, operands)):
                reason = "it is not a product of two tensors of fixed shape"
                note = f"the einsum {node.args[0]} was not rewritten, since {reason}"
                editor.notes.append(f"{layer_of(node)}: {note}")
                continue
            _decompose(editor, node, list(operands), letters)
        return editor.finish()


def _decompose(editor: Editor, node: fx.Node, operands: list[fx.Node], letters: _Letters) -> None:
    sizes: dict[str, int] = {}
    for operand, side in zip(operands, (letters.left, letters.right), strict=True):
        sizes |= dict(zip(side, (int(size) for size in value_of(operand).shape), strict=True))

    def counted(part: str) -> int:
        return int(torch.Size([sizes[letter] for letter in part]).numel())

    rows, columns = letters.own(letters.left), letters.own(letters.right)

    def arranged(x: Tensor, side: str, first: str, second: str) -> Tensor:
        order = [side.index(letter) for letter in letters.batch + first + second]
        x = x if order == sorted(order) else x.permute(order)
        return x.reshape(counted(letters.batch), counted(first), counted(second))

    def product(x: Tensor, y: Tensor) -> Tensor:
        x = arranged(x, letters.left, rows, letters.summed)
        y = arranged(y, letters.right, letters.summed, columns)
        made = letters.batch + rows + columns
        z = torch.bmm(x, y).reshape([sizes[letter] for letter in made])
        order = [made.index(letter) for letter in letters.result]
        return z if order == sorted(order) else z.permute(order)

    editor.replace(node, product, operands, f"the einsum {node.args[0]} became a batched product")
