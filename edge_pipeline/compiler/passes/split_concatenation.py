"""Split concatenation: several of few tensors each in the place of one of many."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result

__all__ = ["SplitConcatenation"]

_CAT = torch.ops.aten.cat.default
_MOST = 5


class SplitConcatenation:
    """Concatenate at most five tensors at a time.

    cat([a, b, c, d, e, f, g])
    becomes
    cat([cat([a, b, c]), d, e, f, g])

    XNNPACK's delegate for LiteRT takes two to five. Only as many are put together first as there
    are too many, since those are copied twice.
    """

    name = "split_concatenation"
    why = "XNNPACK's delegate for LiteRT leaves a concatenation of more than five tensors outside"

    def run(self, program: ExportedProgram) -> Result:
        """See the class."""
        editor = Editor(program)
        for node in editor.calls(_CAT):
            given: Any = node.args[0]
            parts: list[fx.Node] = list(given)
            if len(parts) > _MOST:
                dim: Any = dict(enumerate(node.args)).get(1, node.kwargs.get("dim", 0))
                note = f"a concatenation of {len(parts)} became several of at most {_MOST}"
                editor.replace(node, partial(_nested, dim), parts, note)
        return editor.finish()


def _nested(dim: int, *parts: Tensor) -> Tensor:
    """`parts` beside each other along `dim`, at most five at a time."""
    rest = list(parts)
    done: list[Tensor] = []
    while len(done) + len(rest) > _MOST:
        if len(rest) < 2:  # as many groups as one concatenation takes, and more
            done, rest = [], done + rest
        size = min(_MOST, len(done) + len(rest) - _MOST + 1, len(rest))
        done.append(torch.cat(rest[:size], dim))
        rest = rest[size:]
    return torch.cat(done + rest, dim)
