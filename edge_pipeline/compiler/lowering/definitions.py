"""Replacement of operators by their definitions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, fx

from edge_pipeline.compiler.program import Editor

__all__ = ["write_out"]


def write_out(editor: Editor, node: fx.Node, body: Callable[..., Tensor | None], note: str) -> None:
    """Replace an operator by its definition.

    Args:
        editor: Editor of the program.
        node: Call of the operator, whose tensors come before its other arguments.
        body: Function of the same arguments that computes the operator. If it returns None, it does
            not support these arguments, and the operator is kept.
        note: Note about the change.
    """
    operands = [operand for operand in node.args if isinstance(operand, fx.Node)]
    settings, named = node.args[len(operands) :], dict(node.kwargs)
    if body(*(torch.ones(1, 2) for _ in operands), *settings, **named) is None:
        return

    def defined(*given: Tensor) -> Tensor:
        found = body(*given, *settings, **named)
        assert found is not None  # noqa: S101 - the trial returned one
        return found

    editor.replace(node, defined, operands, note)
