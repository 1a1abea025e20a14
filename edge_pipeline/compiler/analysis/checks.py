"""Tell the operators of a program that compute nothing and only check."""

from __future__ import annotations

from torch import fx

__all__ = ["is_check"]

_CHECKS = ("_assert", "sym_constrain_range")


def is_check(node: fx.Node) -> bool:
    """Return whether an operator only checks a value or constrains a size."""
    return node.op == "call_function" and any(word in str(node.target) for word in _CHECKS)
