"""Relax views: replace views by reshapes, which require no layout in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, layer_of

__all__ = ["RelaxViews"]

_ATEN = torch.ops.aten
_VIEWS: tuple[Any, ...] = (_ATEN.view.default, _ATEN._unsafe_view.default)


class RelaxViews:
    """Replace each view by a reshape.

    view(x, shape)
    becomes
    reshape(x, shape)

    A view fails if the values are not in order in memory. Their order depends on how eager computes
    the operators before the view, which other passes change. No runtime here tells the two apart.
    """

    name = "relax_views"
    why = "after copies are dropped or rewritten, the values of a view may be in another order"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
        editor = Editor(program)
        for node in editor.calls(*_VIEWS):
            node.target = _ATEN.reshape.default
            editor.notes.append(f"{layer_of(node)}: a view became a reshape")
            editor.modified = True
        return editor.finish()
