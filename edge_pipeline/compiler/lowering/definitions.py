"""Operators replaced by their definitions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, fx

from edge_pipeline.compiler.program import Editor

__all__ = ["write_out"]


def write_out(editor: Editor, node: fx.Node, body: Callable[..., Tensor | None], note: str) -> None:
    """Put the definition of an operator in its place.

    Args:
        editor: of the program.
        node: its tensors come before its settings.
        body: takes the same tensors and settings; it gives None for settings that it does not
            compute, and the operator then stays.
        note: what is said of the change.
    """
    operands = [operand for operand in node.args if isinstance(operand, fx.Node)]
    settings, named = node.args[len(operands) :], dict(node.kwargs)
    if body(*(torch.ones(1, 2) for _ in operands), *settings, **named) is None:
        return

    def defined(*given: Tensor) -> Tensor:
        found = body(*given, *settings, **named)
        assert found is not None  # noqa: S101 - the trial gave one
        return found

    editor.replace(node, defined, operands, note)
