"""Lower resizing that no XNNPACK delegate supports to products with constants."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.resize import (
    BILINEAR,
    RESIZES,
    axis_matrix,
    enlarged,
    resized,
    scales_of,
    whole_factor,
)
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["LowerResize"]


class LowerResize:
    """Rewrite resizing of maps of fixed shape, except bilinear resizing to a given size.

    nearest, by whole factors -> reshape -> product with ones -> reshape
    any other                 -> linear(columns) -> transpose -> linear(rows) -> transpose

    The second form covers nearest by any factor, bicubic, antialiased, and bilinear by a factor
    that is not the ratio of the sizes: XNNPACK accepts the last but samples by the ratio, so its
    result is wrong without an error (ExecuTorch 1.4.1; 13 rows times 1.5). The matrices are small,
    and products with them are exact for nearest.

    Args:
        ones: Whether to repeat pixels by a product with ones; otherwise by concatenations, since
            LiteRT's converter turns such a product into an expansion, which XNNPACK lacks.
    """

    name = "lower_resize"
    why = "XNNPACK supports only bilinear resizing, by the ratio of the sizes"

    def __init__(self, *, ones: bool = True) -> None:
        self.ones = ones

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; run `state_sizes` first, which removes needless factors."""
        editor = Editor(program)
        for node in editor.calls(*RESIZES):
            source: Any = node.args[0]
            if not (has_fixed_shape(source) and has_fixed_shape(node)):
                continue
            if node.target is not BILINEAR or scales_of(node) is not None:
                _lower(editor, node, source, ones=self.ones)
        return editor.finish()


def _lower(editor: Editor, node: fx.Node, source: fx.Node, *, ones: bool) -> None:
    if value_of(source).shape == value_of(node).shape and scales_of(node) in (None, (1.0, 1.0)):
        editor.substitute(node, source, "dropped a resize to the same size")
        return
    factors = whole_factor(node)
    if factors is not None:
        _enlarge(editor, node, source, factors, ones=ones)
        return
    dtype = value_of(source).dtype
    matrices = [
        editor.add_constant(axis_matrix(node, dim).to(dtype), f"{node.name}_{kind}")
        for dim, kind in ((2, "rows"), (3, "columns"))
    ]

    def multiplied(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return resized(x, rows, columns)

    note = f"{node.target} became products with constant matrices"
    editor.replace(node, multiplied, [source, *matrices], note)


def _enlarge(
    editor: Editor, node: fx.Node, source: fx.Node, factors: tuple[int, int], *, ones: bool
) -> None:
    dtype = value_of(source).dtype
    constants = [
        editor.add_constant(torch.ones(1, factor, 1, dtype=dtype), f"ones_{factor}")
        for factor in (factors if ones else ())
    ]
    way = "products with ones" if ones else "concatenations"
    note = f"nearest-neighbour resizing became {way}"
    editor.replace(node, lambda x, *held: enlarged(x, factors, held), [source, *constants], note)
