"""Track which tensors of an eager run depend on the network's inputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["Reach"]


class Reach:
    """The set of live tensors that depend on the inputs; call `follow` for each operator.

    Args:
        inputs: Inputs of the network.
    """

    def __init__(self, inputs: Iterable[Tensor]) -> None:
        self._reached: Any = WeakTensorKeyDictionary()
        self._add(inputs)

    def follow(self, operands: Any, result: Any) -> bool:
        """Return whether an operator depends on the inputs; if so, add its results to the set.

        Args:
            operands: Arguments of the operator, nested in any way.
            result: Value that the operator returned.
        """
        found = any(value in self._reached for value in _tensors(operands))
        if found:
            self._add(_tensors(result))
        return found

    def _add(self, values: Iterable[Tensor]) -> None:
        self._reached.update((value, True) for value in values)


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]
