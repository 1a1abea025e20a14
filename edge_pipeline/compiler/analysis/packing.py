"""The operators whose constants a delegate packs when it loads a program."""

from __future__ import annotations

import torch
from torch import fx

__all__ = ["packs"]

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
