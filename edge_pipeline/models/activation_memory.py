"""Count the peak memory of a network's activations without computing values.

The network runs on meta tensors, and its operators are recorded in execution order. Counted are the
input, and every tensor that depends on it. A tensor occupies its memory from the operator that
writes it to the last operator that reads it; the output stays until the end. The peak is the
largest sum over the operators. Weights, which hypernetworks predict before deployment, are not
counted. A view shares the memory of its tensor. No other memory is shared: each operator writes its
result beside its operands, and needs no further memory. A compiled program that fuses or
overwrites activations needs less, one whose convolutions unfold their input needs more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edge_pipeline.models.cost import without_values
from edge_pipeline.models.reach import Reach

__all__ = ["peak_activation_bytes"]


def peak_activation_bytes(
    model: nn.Module,
    input_shape: tuple[int, ...],
    fixed: Mapping[str, str | int | float | bool] | None = None,
) -> int:
    """Return the peak memory of activations of one forward pass, in bytes.

    Args:
        model: The network, on any device; it is not changed.
        input_shape: Batch size 1, channels, height and width of the first input.
        fixed: Values by name, for parameters of `forward` that are not inputs.

    Raises:
        InputError: If the network does not support this shape or a fixed value.
    """
    shapes, inputs = without_values(model, input_shape, fixed or {})
    with torch.no_grad(), _Recorder(inputs) as recorder:
        outputs = shapes(*inputs, **(fixed or {}))
        peak: int = recorder.peak_bytes(outputs)
    return peak


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dispatch mode that records when the storage of each activation is first and last used."""

    def __init__(self, inputs: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._reach = Reach(inputs)
        self._step = 0
        # Storages are kept so that no later one gets the number of one that was freed.
        self._storages: dict[int, Any] = {}
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._use(inputs)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._reach.follow((args, kwargs), result):
            self._step += 1
            self._use(result)
            # An operand that is no activation, such as a weight, has no storage here.
            operands = [x for x in _tensors((args, kwargs)) if _key(x) in self._storages]
            self._use(operands)
        return result

    def _use(self, values: Any) -> None:
        for value in _tensors(values):
            key = _key(value)
            self._storages[key] = value.untyped_storage()
            self._first.setdefault(key, self._step)
            self._last[key] = self._step

    def peak_bytes(self, outputs: Any) -> int:
        """Return the largest sum of the storages that are in use at one operator."""
        self._use([value for value in _tensors(outputs) if _key(value) in self._storages])
        changes = [0] * (self._step + 2)
        for key, storage in self._storages.items():
            changes[self._first[key]] += storage.nbytes()
            changes[self._last[key] + 1] -= storage.nbytes()
        peak = current = 0
        for change in changes:
            current += change
            peak = max(peak, current)
        return peak


def _key(value: Tensor) -> int:
    return int(value.untyped_storage()._cdata)


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]
