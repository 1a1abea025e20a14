"""The operators whose constants a delegate packs when it loads a program, and copies for them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, fx

from edge_pipeline.compiler.program import Editor, layer_of

__all__ = ["give_copy", "packs"]

_ATEN = torch.ops.aten
# Operators whose weights and biases the delegate packs when it loads the program.
_PACKING = frozenset(
    {
        _ATEN.conv1d.default,
        _ATEN.conv2d.default,
        _ATEN.conv_transpose2d.input,
        _ATEN.linear.default,
    }
)


def packs(user: fx.Node, constant: fx.Node) -> bool:
    """Return whether `user` takes the constant as a weight or a bias, and not as its input."""
    return user.target in _PACKING and constant not in user.args[:1]


def give_copy(
    editor: Editor, constant: fx.Node, value: Tensor, name: str, users: Iterable[fx.Node]
) -> None:
    """Let operators read a copy of a constant instead of the constant, and note it.

    Args:
        editor: Editor of the program.
        constant: Placeholder of the constant.
        value: Its value.
        name: Name of the copy.
        users: Operators that read the constant.
    """
    copy = editor.add_constant(value.clone(), name)
    for user in users:
        user.replace_input_with(constant, copy)
        editor.notes.append(f"{layer_of(user)}: {user.name} reads a copy of {constant.name}")
    editor.modified = True
