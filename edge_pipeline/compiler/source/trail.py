"""The operators that a network applies to its inputs, recorded in milliseconds without an export.

The network runs on inputs without memory (torch's meta device). In `trail_of` its parameters are
real, so every value that depends only on parameters and fixed values is computed, and these values
are recorded in their order of use. In a `Shadow` the parameters have no memory either, and only
shapes are computed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry

from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.shape_rules import Rules
from edge_pipeline.errors import EdgePipelineError

__all__ = ["UNSUPPORTED", "Shadow", "Shape", "Step", "Trail", "trail_of"]

UNSUPPORTED = (
    EdgePipelineError,
    RuntimeError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
)
"""The exceptions of a network that does not support a value, or inputs without memory."""

# Wider products are computed at this many evenly spaced places if only a sample is needed.
_SAMPLED = 64


class Shape(NamedTuple):
    """The shape of a tensor operand, its strides and its type."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype


class Step(NamedTuple):
    """One call of an operator: the operator, and its arguments with shapes for tensors."""

    func: Any
    args: Any
    kwargs: Any


@dataclass(frozen=True)
class Trail:
    """The operators that one run of a network applies to its inputs.

    Attributes:
        steps: The calls, in order.
        depends: For each operator of the run, also those on parameters alone, whether it is applied
            to a value that depends on an input.
        operands: Real tensors that these calls take, in order of use.
        outputs: Shapes of the network's outputs.
    """

    steps: tuple[Step, ...]
    depends: tuple[bool, ...]
    operands: tuple[Tensor, ...]
    outputs: tuple[tuple[int, ...], ...]


def trail_of(network: SourceNetwork, *, sampled: bool = False, rules: Rules | None = None) -> Trail:
    """Run a network with its parameters, and record what it applies to its inputs.

    Args:
        network: Network with example inputs and fixed values.
        sampled: Whether the product of a vector and a large parameter is computed at a sample of
            its places only (`sample_of`), and is 0 elsewhere.
        rules: Rules of shapes, if several runs share them.

    Raises:
        Exception: One of `UNSUPPORTED`, if the network cannot run like this.
    """
    inputs = tuple(torch.empty_like(value, device="meta") for value in network.example)
    with _Recorder(rules or Rules(), sampled=sampled) as recorder:
        outputs = network.run(inputs)
    return Trail(
        tuple(recorder.steps),
        tuple(recorder.depends),
        tuple(recorder.operands),
        tuple(tuple(value.shape) for value in outputs),
    )


def sample_of(count: int) -> slice:
    """Return the places at which a sampled product of `count` numbers is computed."""
    return slice(None) if count <= _SAMPLED * _SAMPLED else slice(0, None, count // _SAMPLED)


def _described(value: Any) -> Any:
    """Return an argument with shapes in place of tensors, in a form that can be hashed."""
    if isinstance(value, Tensor):
        return Shape(tuple(value.shape), value.stride(), value.dtype)
    if isinstance(value, list | tuple):
        return tuple(map(_described, value))
    if isinstance(value, dict):
        return tuple((key, _described(one)) for key, one in sorted(value.items()))
    # 1, 1.0 and True are equal in Python but differ as arguments.
    return (type(value), value) if isinstance(value, bool | float) else value


def _step(func: Any, args: Any, kwargs: Any) -> Step:
    return Step(func, _described(args), _described(kwargs))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs operators on real tensors, and records those with an operand without memory."""

    def __init__(self, rules: Rules, *, sampled: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step] = []
        self.depends: list[bool] = []
        self.operands: list[Tensor] = []
        self._rules, self._sampled = rules, sampled

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        depends = any(value.is_meta for value in tensors)
        self.depends.append(depends)
        if not depends:
            if torch.device(kwargs.get("device") or "cpu").type == "meta":
                kwargs = {**kwargs, "device": torch.device("cpu")}
            if self._sampled and func is torch.ops.aten.addmm.default and not kwargs:
                return _product(*args)
            return func(*args, **kwargs)
        self.operands += [value for value in tensors if not value.is_meta]
        self.steps.append(_step(func, args, kwargs))
        args, kwargs = tree_map(_without_memory, (args, kwargs))
        return _computed(self._rules, func, args, kwargs)


def _without_memory(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.is_meta:
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


def _computed(rules: Rules, func: Any, args: Any, kwargs: Any) -> Any:
    """Return an operator's result on tensors without memory."""
    if kwargs or func._schema.is_mutable:
        return func(*args, **kwargs)
    return rules.result(func, args, lambda: func(*args))


def _product(bias: Tensor, vector: Tensor, matrix: Tensor) -> Tensor:
    """Return bias + vector @ matrix, at a sample of its columns if it has many."""
    places = sample_of(matrix.shape[-1])
    if len(vector) != 1 or bias.shape != matrix.shape[-1:] or places == slice(None):
        return torch.addmm(bias, vector, matrix)
    made = torch.zeros(1, matrix.shape[-1], dtype=matrix.dtype)
    made[:, places] = torch.addmm(bias[places], vector, matrix[:, places])
    return made


class Shadow:
    """A network without any memory, which computes the shapes of a run in milliseconds.

    Args:
        network: Network with example inputs.
    """

    def __init__(self, network: SourceNetwork) -> None:
        memo: dict[int, Any] = {
            id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False)
            for p in network.module.parameters()
        }
        memo |= {id(b): torch.empty_like(b, device="meta") for b in network.module.buffers()}
        module = copy.deepcopy(network.module, memo)
        self.name = type(module).__name__
        self._inputs = tuple(torch.empty_like(value, device="meta") for value in network.example)
        self._network = replace(network, module=module, _exports={}, _programs={})
        self._known: dict[Step, tuple[Shape | None, int]] = {}
        self._rules = Rules()

    def run(self, fixed: Mapping[str, object]) -> _Shapes:
        """Run the network with fixed values.

        Raises:
            Exception: One of `UNSUPPORTED`, if the network cannot run like this.
        """
        shapes = _Shapes(self._known, self._rules)
        with shapes:
            outputs = self._network.with_fixed(fixed).run(self._inputs)
        shapes.outputs = tuple(tuple(value.shape) for value in outputs)
        return shapes

    def layers(self, fixed: Mapping[str, object]) -> list[str]:
        """Return the name of the module that runs each operator, innermost first named."""
        stack = [""]
        handles = []
        for name, module in self._network.module.named_modules():
            if name:
                handles += [
                    module.register_forward_pre_hook(lambda *_, name=name: stack.append(name)),
                    module.register_forward_hook(lambda *_: _pop(stack), always_call=True),
                ]
        try:
            shapes = _Shapes(self._known, self._rules, stack)
            with shapes:
                self._network.with_fixed(fixed).run(self._inputs)
        finally:
            for handle in handles:
                handle.remove()
        return shapes.layers


def _pop(stack: list[str]) -> None:
    stack.pop()


class _Shapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes the shapes of results, each once for equal operators and operands.

    Attributes:
        steps: The calls of a run, in order.
        macs: Multiply-accumulates of each call.
        results: Shape of each call's result; None if it is not one tensor.
        layers: Module that runs each call, if a stack of modules is given.
        outputs: Shapes of the network's outputs.
    """

    def __init__(
        self,
        known: dict[Step, tuple[Shape | None, int]],
        rules: Rules,
        stack: Iterable[str] = ("",),
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step] = []
        self.macs: list[int] = []
        self.results: list[Shape | None] = []
        self.layers: list[str] = []
        self.outputs: tuple[tuple[int, ...], ...] = ()
        self._known, self._rules = known, rules
        self._stack = stack

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        step = _step(func, args, kwargs)
        known = self._known.get(step)
        if known is None or known[0] is None:
            args, kwargs = tree_map(_without_memory, (args, kwargs))
            if "device" in kwargs:
                kwargs = {**kwargs, "device": torch.device("meta")}
            result = _computed(self._rules, func, args, kwargs)
            single = isinstance(result, Tensor) and not func._schema.is_mutable
            known = (_described(result) if single else None, _macs(func, args, kwargs, result))
            self._known[step] = known
        else:
            shape, stride, dtype = known[0]
            result = torch.empty_strided(shape, stride, dtype=dtype, device="meta")
        self.steps.append(step)
        self.results.append(known[0])
        self.macs.append(known[1])
        self.layers.append(list(self._stack)[-1])
        return result


def _macs(func: Any, args: Any, kwargs: dict[str, Any], result: Any) -> int:
    """Return an operator's multiply-accumulates as `FlopCounterMode` counts them."""
    count = flop_registry.get(func.overloadpacket)
    return 0 if count is None else int(count(*args, **kwargs, out_val=result)) // 2
