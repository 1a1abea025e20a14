"""What a form of a convolution costs on a device, by a model fitted to measurements.

    ms = a * GFLOP + b * near GB + c * far GB + d * operators

for each backend and form, none of the four negative. Near are the bytes of operators whose operands
and result fit into `cache_bytes`. `python -m tools.fit_cost_model` measures, fits and writes
`devices/NAME.costs.json`; nothing here measures, so what is compiled depends on that file alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt, ValidationError
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from edge_pipeline.compiler.lowering.algorithms import ALGORITHMS
from edge_pipeline.compiler.lowering.convolution import (
    ConvGeometry,
    ConvPlan,
    convolve,
    shape_of,
    strip_rows,
)
from edge_pipeline.compiler.lowering.padding import padded
from edge_pipeline.device_profile import device_file
from edge_pipeline.errors import InputError

__all__ = [
    "CONSTANT",
    "COSTS_FILE",
    "NATIVE",
    "BackendCosts",
    "Call",
    "Coefficients",
    "CostSample",
    "Costs",
    "Quality",
    "Work",
    "load_costs",
    "predict",
    "work_of",
]

COSTS_FILE = "costs.json"

# The runtime's own convolution, its weights constants or computed at run time.
CONSTANT, NATIVE = ConvPlan("constant", 0), ConvPlan("native", 0)

# Operators that move nothing: they say how memory is to be read.
_FREE = frozenset({"view", "_unsafe_view", "expand", "unsqueeze", "squeeze", "alias", "detach"})


@dataclass(frozen=True)
class Call:
    """A convolution of one sample, by its sizes.

    Attributes:
        size: rows and columns of the map without padding.
        weight: [out, in / groups, rows, columns].
        geometry: how it goes over the map.
        bias: whether it has one.
    """

    size: tuple[int, int]
    weight: tuple[int, int, int, int]
    geometry: ConvGeometry
    bias: bool

    def run(self, x: Tensor, weight: Tensor, bias: Tensor | None, plan: ConvPlan) -> Tensor:
        """The convolution as `plan` computes it; `CONSTANT` and `NATIVE` are torch's own."""
        g = self.geometry
        if plan not in (CONSTANT, NATIVE):
            return convolve(x, weight, g, plan, bias, self.ones(plan))
        amounts = (g.padding.rows, g.padding.columns)
        if g.padding.mode == "reflect":
            x, amounts = padded(x, g.padding), (0, 0)
        y: Tensor = torch.conv2d(x, weight, bias, g.stride, amounts, g.dilation, g.groups)
        return y

    def ones(self, plan: ConvPlan) -> Tensor | None:
        """What `convolve` wants to take the bias with the product; None if it is added later."""
        if not self.bias or self.geometry.groups > 1 or not ALGORITHMS[plan.algorithm].takes_bias:
            return None
        shape = shape_of(self.size, self.weight, self.geometry)
        rows = strip_rows(shape, plan) + shape.row_span
        return torch.ones(1, 1, rows, shape.width + shape.column_span)


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Coefficients(_Fields):
    """What the units of work cost in one form, in milliseconds."""

    per_gflop: NonNegativeFloat
    per_near_gb: NonNegativeFloat
    per_far_gb: NonNegativeFloat
    per_operator: NonNegativeFloat


class Quality(_Fields):
    """How well the model predicts.

    Attributes:
        median_error: of the fit, relative to what was measured; half of the samples are nearer.
        p90_error: nine of ten are nearer.
        held_out_layers: layers on which ranking was tried, by a fit that had not seen them.
        best_found: on how many of them the form predicted to be fastest was it.
        within_10_percent: on how many it took at most 1.1 times the fastest form's time.
    """

    median_error: NonNegativeFloat
    p90_error: NonNegativeFloat
    held_out_layers: PositiveInt
    best_found: Annotated[int, Field(ge=0)]
    within_10_percent: Annotated[int, Field(ge=0)]


class BackendCosts(_Fields):
    """A backend's fitted model.

    Attributes:
        cache_bytes: up to which an operator's bytes count as near.
        lanes: output channels that the runtime's own convolution computes at a time.
        forms: by the form's name, `constant` and `native` among them.
        quality: how well it predicts.
        tools: what was measured with, by name and version.
    """

    cache_bytes: PositiveInt
    lanes: PositiveInt
    forms: Mapping[str, Coefficients]
    quality: Quality
    tools: Mapping[str, str]


class CostSample(_Fields):
    """What one form of one layer took.

    Attributes:
        backend: as in the registry.
        form: its name.
        strip_bytes: of its plan.
        size: rows and columns.
        weight: [out, in, rows, columns].
        ms: a round each, less what the program around the layer took in that round.
    """

    backend: str
    form: str
    strip_bytes: Annotated[int, Field(ge=0)]
    size: tuple[PositiveInt, PositiveInt]
    weight: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    ms: tuple[float, ...]


class Costs(_Fields):
    """`devices/NAME.costs.json`: what was measured on one thread, and the models fitted to it."""

    device: str
    backends: Mapping[str, BackendCosts]
    samples: tuple[CostSample, ...]


@cache
def load_costs(device: str) -> Costs:
    """Read what a device's forms cost.

    Raises:
        InputError: there is no such device, or its costs were never measured, or the file is wrong.
    """
    path = device_file(device, COSTS_FILE)
    if not path.exists():
        raise InputError(
            f"the device {device!r} has no measured costs; "
            f"`python -m tools.fit_cost_model --device {device}` measures them on it"
        )
    try:
        return Costs.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        first = (
            error.errors(include_url=False)[0]["msg"]
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise InputError(f"{path} cannot be used: {first}") from error


@dataclass(frozen=True)
class Work:
    """What a form does: floating-point operations, bytes moved near and far, operators."""

    flops: int
    near_bytes: int
    far_bytes: int
    operators: int

    def units(self) -> tuple[float, float, float, float]:
        """In the units of `Coefficients`."""
        return self.flops / 1e9, self.near_bytes / 1e9, self.far_bytes / 1e9, self.operators


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch has no types
    """Adds up what the operators do that run inside its block."""

    def __init__(self, cache_bytes: int, lanes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch has no types
        self._cache_bytes = cache_bytes
        self._lanes = lanes
        self.flops = self.near = self.far = self.operators = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if isinstance(out, Tensor) and name not in _FREE:
            self._count(name, args, out)
        return out

    def _count(self, name: str, args: tuple[Any, ...], out: Tensor) -> None:
        flat = [a for arg in args for a in (arg if isinstance(arg, list | tuple) else (arg,))]
        read = sum(4 * a.numel() for a in flat if isinstance(a, Tensor))
        # A slice reads only what it takes; torch makes a view of it, and a runtime a copy.
        moved = 4 * out.numel() + (4 * out.numel() if name == "slice" else read)
        self.operators += 1
        if moved <= self._cache_bytes:
            self.near += moved
        else:
            self.far += moved
        if name == "bmm":
            self.flops += 2 * out.numel() * args[0].shape[2]
        elif name == "convolution":
            weight, groups = args[1], int(args[8])
            a_group = weight.shape[0] // groups
            computed = groups * -(-a_group // self._lanes) * self._lanes
            self.flops += 2 * computed * prod(out.shape[2:]) * prod(weight.shape[1:])


@cache
def work_of(call: Call, plan: ConvPlan, cache_bytes: int, lanes: int) -> Work:
    """Count what `plan` does for `call`, on tensors without content."""
    n_in = call.weight[1] * call.geometry.groups
    counter = _Counter(cache_bytes, lanes)
    with torch.device("meta"), torch.no_grad():
        x, weight = torch.empty(1, n_in, *call.size), torch.empty(call.weight)
        bias = torch.empty(call.weight[0]) if call.bias else None
        with counter:
            call.run(x, weight, bias, plan)
    return Work(counter.flops, counter.near, counter.far, counter.operators)


def predict(costs: BackendCosts, call: Call, plan: ConvPlan) -> float:
    """Milliseconds that `plan` is predicted to take, on one thread.

    Raises:
        KeyError: the backend's model has no such form.
    """
    each = costs.forms[plan.algorithm]
    units = work_of(call, plan, costs.cache_bytes, costs.lanes).units()
    rates = (each.per_gflop, each.per_near_gb, each.per_far_gb, each.per_operator)
    return sum(rate * amount for rate, amount in zip(rates, units, strict=True))
