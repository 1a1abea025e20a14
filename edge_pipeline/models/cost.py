"""Count the parameters and multiply-accumulates of a network's layers without computing values.

The network runs on meta tensors, which have a shape but no memory, so the cost for a picture of
any size is counted in milliseconds. Convolutions and matrix products are counted as torch
dispatches them, so a convolution whose weights are computed at run time counts like any other.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from edge_pipeline.errors import InputError
from edge_pipeline.models.base import build_model, options_of
from edge_pipeline.models.network import check_fixed
from edge_pipeline.models.reach import Reach
from edge_pipeline.record import Cost, CostRecord, LayerCost

__all__ = ["cost_of", "cost_of_name", "operand_place", "without_values"]

_ATEN = torch.ops.aten
# Matrix products, and the position of their first factor.
_PRODUCTS = {_ATEN.mm: 0, _ATEN.bmm: 0, _ATEN.addmm: 1, _ATEN.baddbmm: 1}


def cost_of_name(
    name: str,
    options: Mapping[str, str | int | float | bool],
    input_shape: tuple[int, ...] | None = None,
    fixed: Mapping[str, str | int | float | bool] | None = None,
    *,
    trimmed: bool = False,
) -> CostRecord:
    """Return the cost of a registered network, without allocating memory for its weights.

    Args:
        name: Name of the network in the registry.
        options: Some or all of the network's options.
        input_shape: Channels, height and width of the first input, from which the shapes of the
            other inputs follow. None for the network's default size.
        fixed: Values by name, for parameters of the network's `forward` that are not inputs.
        trimmed: Whether the network leaves out the part of its output that no tile keeps.

    Raises:
        UnknownNameError: If no network has this name.
        InputError: If the network does not support an option, the shape or a fixed value.
    """
    complete = options_of(name, options)
    with torch.device("meta"):
        model: Any = build_model(name, complete)
    if trimmed:
        model.trim()
    shape = input_shape or (model.inputs[0].channels, *model.default_size)
    cost = cost_of(model, (1, *shape), fixed)
    return CostRecord.build(cost, model=name, options=complete, input=shape, fixed=fixed)


def cost_of(
    model: nn.Module,
    input_shape: tuple[int, ...],
    fixed: Mapping[str, str | int | float | bool] | None = None,
) -> Cost:
    """Return the cost of one forward pass.

    A layer belongs to the `predictor` in two cases: if nothing that it computes depends on the
    inputs (a hypernetwork of a fixed value), or if the network has `predict_filters` and
    `apply_filters` and the layer does not run in `apply_filters`. A HyperConv's constant filter
    counts with its convolution.

    Args:
        model: The network, on any device; it is not changed.
        input_shape: Batch size 1, channels, height and width of the first input.
        fixed: Values by name, for parameters of `forward` that are not inputs.

    Raises:
        InputError: If the network does not support this shape or a fixed value.
    """
    shapes, inputs = without_values(model, input_shape, fixed or {})
    try:
        with torch.no_grad():
            on_path, counts = _counts(shapes, inputs, fixed or {})
    except RuntimeError as error:
        raise InputError(
            f"{type(model).__name__} does not accept an input of {_text(input_shape)}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return Cost.of(_rows(shapes, counts, on_path))


def without_values(
    model: nn.Module, input_shape: tuple[int, ...], fixed: Mapping[str, object]
) -> tuple[nn.Module, list[Tensor]]:
    """Return a copy of a network and its inputs on the meta device, where no value is computed.

    Args:
        model: The network, on any device; it is not changed.
        input_shape: Batch size 1, channels, height and width of the first input.
        fixed: Values by name, for parameters of `forward` that are not inputs.

    Raises:
        InputError: If the network does not support this shape, or `fixed` has other names than
            these parameters.
    """
    _check_shape(model, input_shape)
    check_fixed(model, fixed)
    return _without_memory(model), _meta_inputs(model, input_shape)


def _without_memory(model: nn.Module) -> nn.Module:
    """Return a copy of `model` whose parameters and buffers are on the meta device."""
    memo: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta")) for p in model.parameters()
    }
    memo |= {id(b): torch.empty_like(b, device="meta") for b in model.buffers()}
    return copy.deepcopy(model, memo)


def _meta_inputs(model: nn.Module, input_shape: tuple[int, ...]) -> list[Tensor]:
    """Return a meta tensor per input of the network; a module without `inputs` has one input."""
    further = getattr(model, "inputs", ())[1:]
    shapes = [input_shape, *(port.shape(*input_shape[2:]) for port in further)]
    return [torch.empty(shape, device="meta") for shape in shapes]


def _counts(
    shapes: Any, inputs: list[Tensor], fixed: Mapping[str, object]
) -> tuple[set[str], dict[str, _Count]]:
    """Return the names of the layers outside the predictor, and the counts of all layers."""
    counts = _count(shapes, lambda: shapes(*inputs, **fixed), inputs)
    on_path = {name for name, count in counts.items() if count.of_inputs}
    if hasattr(shapes, "predict_filters") and hasattr(shapes, "apply_filters"):
        filters = shapes.predict_filters(*inputs)
        on_path = set(_count(shapes, lambda: shapes.apply_filters(*inputs, filters), inputs))
    return on_path, counts


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _check_shape(model: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Raise InputError for a shape that the network states it does not support."""
    if len(input_shape) != 4 or input_shape[0] != 1:
        raise InputError(f"the shape {_text(input_shape)} must be 1 x channels x height x width")
    named = getattr(model, "inputs", ())
    channels = named[0].channels if named else input_shape[1]
    if input_shape[1] != channels:
        raise InputError(
            f"the network expects {channels} channels and the input {_text(input_shape[1:])} has "
            f"{input_shape[1]}"
        )
    stride, minimum = getattr(model, "stride", 1), getattr(model, "min_size", 1)
    for size in input_shape[2:]:
        if size % stride or size < minimum:
            raise InputError(
                f"the input {_text(input_shape[1:])} has a side of {size}; the network requires "
                f"multiples of {stride} of at least {minimum}"
            )


@dataclass
class _Count:
    """The cost of one module without its children; `of_inputs` if it depends on an input.

    `activations` is the number of values that it reads and writes, without its weights.
    """

    op: str
    macs: int
    output_shape: tuple[int, ...]
    of_inputs: bool = False
    activations: int = 0


def _count(
    model: nn.Module, run: Callable[[], object], inputs: Sequence[Tensor]
) -> dict[str, _Count]:
    """Call `run` and return the costs of the modules that multiply, in order of first use."""
    counts: dict[str, _Count] = {}
    with _tracked(model) as stack, _Counter(model, stack, counts, inputs):
        run()
    return counts


@contextmanager
def _tracked(model: nn.Module) -> Iterator[list[str]]:
    """Maintain a stack of the names of the running modules, the innermost last."""
    stack: list[str] = [""]
    handles = []
    for name, module in model.named_modules():
        if name:
            handles.append(
                module.register_forward_pre_hook(lambda *_args, name=name: stack.append(name))
            )
            handles.append(
                module.register_forward_hook(lambda *_args: _drop(stack), always_call=True)
            )
    try:
        yield stack
    finally:
        for handle in handles:
            handle.remove()


def _drop(stack: list[str]) -> None:
    stack.pop()


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dispatch mode that adds the cost of every operator to that of the running module."""

    def __init__(
        self,
        model: nn.Module,
        stack: list[str],
        counts: dict[str, _Count],
        inputs: Sequence[Tensor],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._modules = dict(model.named_modules())
        self._stack = stack
        self._counts = counts
        self._reach = Reach(inputs)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        reached = self._reach.follow((args, kwargs), result)
        macs = _macs(func.overloadpacket, args, result)
        if macs:
            name = self._stack[-1]
            op = self._op(name, func.overloadpacket, args)
            count = self._counts.setdefault(name, _Count(op, 0, ()))
            count.macs += macs
            count.activations += args[operand_place(func.overloadpacket)].numel() + result.numel()
            count.of_inputs |= reached
            count.output_shape = tuple(result.shape)
        return result

    def _op(self, name: str, packet: Any, args: tuple[Any, ...]) -> str:
        if packet is _ATEN.convolution:
            constant = isinstance(args[1], nn.Parameter)
            rank = args[1].dim() - 2
            return f"conv{rank}d" if constant else f"dynamic_conv{rank}d"
        return "linear" if isinstance(self._modules[name], nn.Linear) else "matmul"


def _macs(packet: Any, args: tuple[Any, ...], result: Any) -> int:
    """Return the multiply-accumulates of one operator, 0 for one that is not counted."""
    if packet is _ATEN.convolution:
        weight: Tensor = args[1]
        transposed: bool = args[6]
        # Weights are [out, in/groups, ...], and [in, out/groups, ...] in a transposed convolution.
        # A convolution applies one filter per value of its output [N, out, ...]; a transposed
        # convolution applies one filter per value of its input.
        places = args[0].numel() if transposed else result.numel()
        return int(places * math.prod(weight.shape[1:]))
    if packet not in _PRODUCTS:
        return 0
    return int(result.numel() * args[operand_place(packet)].shape[-1])


def operand_place(packet: Any) -> int:
    """Return the position of the argument with which the weights are multiplied."""
    return _PRODUCTS.get(packet, 0)


def _rows(model: nn.Module, counts: dict[str, _Count], on_path: set[str]) -> list[LayerCost]:
    """Return a row per module that multiplies or has parameters; a shared parameter counts once."""
    params: dict[str, int] = {}
    seen: set[int] = set()
    for name, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen |= {id(p) for p in own}
        if own:
            params[name] = sum(p.numel() for p in own)
    idle = {
        name: _Count(type(model.get_submodule(name)).__name__, 0, ())
        for name in params
        if name not in counts
    }
    return [
        LayerCost(
            name=name or type(model).__name__,
            op=count.op,
            params=params.get(name, 0),
            macs=count.macs,
            flops=2 * count.macs,
            output_shape=count.output_shape,
            part="path" if name in on_path or name in idle else "predictor",
            activations=count.activations,
        )
        for name, count in (counts | idle).items()
    ]
