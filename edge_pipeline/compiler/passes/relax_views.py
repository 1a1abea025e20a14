"""Relax views: a view becomes a reshape, which asks for no layout in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, layer_of

__all__ = ["RelaxViews"]

_ATEN = torch.ops.aten
_VIEWS: tuple[Any, ...] = (_ATEN.view.default, _ATEN._unsafe_view.default)


class RelaxViews:
    """Write each view as a reshape.

    view(x, shape)
    becomes
    reshape(x, shape)

    A view fails if the values do not lie in order in memory, which depends on how eager computes
    what comes before it; other passes change that. No runtime here knows the difference.
    """

    name = "relax_views"
    why = "once copies are dropped, or rewritten, a view may find its values in another order"

    def run(self, program: ExportedProgram) -> Result:
        """See the class."""
        editor = Editor(program)
        for node in editor.calls(*_VIEWS):
            node.target = _ATEN.reshape.default
            editor.notes.append(f"{layer_of(node)}: a view became a reshape")
            editor.modified = True
        return editor.finish()
