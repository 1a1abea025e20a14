"""Cost model: the time that an algorithm takes for a convolution on a device.

    ms = a * GFLOP + b * near GB + c * far GB + d * operators

The four non-negative coefficients are fitted to measurements, for each backend and algorithm. Bytes
are near if the operator that moves them has operands and a result that fit into `cache_bytes`.
`edge-pipeline calibrate-device` measures, fits and writes `NAME.costs.json`. The compiler only
reads this file and never measures, so equal files lead to equal programs. For a device whose times
mean nothing, the unit is a million instructions instead of a millisecond.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Annotated, Any, Self

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from edge_pipeline.compiler.lowering.algorithms import ALGORITHMS
from edge_pipeline.compiler.lowering.convolution import (
    DEPTHWISE,
    ConvGeometry,
    ConvPlan,
    convolve,
    shape_of,
    strip_rows,
)
from edge_pipeline.compiler.lowering.padding import padded
from edge_pipeline.device_profile import profile_file
from edge_pipeline.errors import InputError, first_fault

__all__ = [
    "CONSTANT",
    "COSTS_FILE",
    "NATIVE",
    "BackendCosts",
    "Call",
    "Coefficients",
    "CostSample",
    "Costs",
    "OperatorWork",
    "Quality",
    "load_costs",
    "predict",
    "work_of",
]

COSTS_FILE = "costs.json"

# The runtime's own convolution, with constant weights or with weights computed at run time.
CONSTANT, NATIVE = ConvPlan("constant", 0), ConvPlan("native", 0)

# Operators that move no data: they only change how memory is read.
_FREE = frozenset({"view", "_unsafe_view", "expand", "unsqueeze", "squeeze", "alias", "detach"})


@dataclass(frozen=True)
class Call:
    """The sizes of a convolution of one sample.

    Attributes:
        size: Rows and columns of the map without padding.
        weight: Shape of the weight, [out, in / groups, rows, columns].
        geometry: Padding, stride, dilation and groups.
        bias: Whether the convolution has a bias.
    """

    size: tuple[int, int]
    weight: tuple[int, int, int, int]
    geometry: ConvGeometry
    bias: bool

    def run(self, x: Tensor, weight: Tensor, bias: Tensor | None, plan: ConvPlan) -> Tensor:
        """Compute the convolution by `plan`; `CONSTANT` and `NATIVE` call `torch.conv2d`."""
        g = self.geometry
        if plan not in (CONSTANT, NATIVE):
            return convolve(x, weight, g, plan, bias, self.ones(plan))
        amounts = (g.padding.rows, g.padding.columns)
        if g.padding.mode == "reflect":
            x, amounts = padded(x, g.padding), (0, 0)
        y: Tensor = torch.conv2d(x, weight, bias, g.stride, amounts, g.dilation, g.groups)
        return y

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel belongs to one input channel of its own."""
        n_out, n_in, *_ = self.weight
        return n_in == 1 and n_out == self.geometry.groups

    def ones(self, plan: ConvPlan) -> Tensor | None:
        """Return the argument `ones` of `convolve`; None if the bias is added after the product."""
        if not self.bias or self.geometry.groups > 1 or plan == DEPTHWISE:
            return None
        if not ALGORITHMS[plan.algorithm].adds_bias:
            return None
        shape = shape_of(self.size, self.weight, self.geometry)
        rows = strip_rows(shape, plan) + shape.row_span
        return torch.ones(1, 1, rows, shape.width + shape.column_span)


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Coefficients(_Fields):
    """The cost of each unit of work for one algorithm, in the unit of the samples."""

    per_gflop: NonNegativeFloat
    per_near_gb: NonNegativeFloat
    per_far_gb: NonNegativeFloat
    per_operator: NonNegativeFloat


class Quality(_Fields):
    """The accuracy of a cost model.

    Attributes:
        median_error: Median relative error of the predicted times of the samples.
        p90_error: 90th percentile of the relative errors.
        held_out_layers: Number of layers whose algorithms were ranked by a model fitted without
            them.
        best_found: Number of these layers on which the algorithm ranked first was the fastest.
        within_10_percent: Number of these layers on which the algorithm ranked first took at most
            1.1 times the time of the fastest.
    """

    median_error: NonNegativeFloat
    p90_error: NonNegativeFloat
    held_out_layers: PositiveInt
    best_found: Annotated[int, Field(ge=0)]
    within_10_percent: Annotated[int, Field(ge=0)]


class BackendCosts(_Fields):
    """The fitted cost model of a backend.

    Attributes:
        cache_bytes: Most bytes that an operator may move for them to count as near.
        lanes: Number of output channels that the runtime's own convolution computes at a time.
        forms: Coefficients by the name of the algorithm, including `constant` and `native`.
        quality: Accuracy of the model.
        tools: Versions of the measured packages, by name.
    """

    cache_bytes: PositiveInt
    lanes: PositiveInt
    forms: Mapping[str, Coefficients]
    quality: Quality
    tools: Mapping[str, str]


class CostSample(_Fields):
    """The measured costs of one algorithm for one layer: either times, or instructions.

    Attributes:
        backend: Name of the backend in the registry.
        form: Name of the algorithm.
        strip_bytes: Strip size of the plan.
        size: Rows and columns of the map.
        weight: Shape of the weight, [out, in, rows, columns].
        ms: Milliseconds in each round, minus the time of the program without the layer in the same
            round.
        instructions: Instructions of each run, minus those of the program without the layer.
    """

    backend: str
    form: str
    strip_bytes: Annotated[int, Field(ge=0)]
    size: tuple[PositiveInt, PositiveInt]
    weight: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    ms: tuple[float, ...] = ()
    instructions: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if bool(self.ms) == bool(self.instructions):
            raise ValueError("a sample has either times or instructions")
        return self

    @property
    def cost(self) -> float:
        """Median time in ms, or median number of millions of instructions."""
        if self.ms:
            return statistics.median(self.ms)
        return statistics.median(self.instructions) / 1e6


class Costs(_Fields):
    """The content of `NAME.costs.json`: samples of one thread, and the fitted models.

    Attributes:
        device: Name of the profile.
        least_per_gflop: Cost of a GFLOP at the device's peak, in the unit of the samples; None if
            it is that of the profile's peak.
        backends: Models by the name of the backend.
        samples: All measured costs.
    """

    device: str
    least_per_gflop: NonNegativeFloat | None = None
    backends: Mapping[str, BackendCosts]
    samples: tuple[CostSample, ...]


def load_costs(target: str) -> Costs:
    """Read the cost models of a device profile.

    Args:
        target: Name of a profile of this project, or the path of a profile's TOML file.

    Raises:
        InputError: If the profile does not exist, has no measured costs, or its file is not valid.
    """
    path = profile_file(target, COSTS_FILE).absolute()
    try:
        return _read_costs(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise InputError(
            f"the target {target!r} has no measured costs; "
            f"`edge-pipeline calibrate-device -o {Path(target).stem}.toml` measures them"
        ) from None


@cache
def _read_costs(path: Path, _changed: int) -> Costs:
    try:
        return Costs.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        where, reason = first_fault(error, "the costs")
        raise InputError(f"{path} cannot be used: {where}: {reason}") from error
    except (OSError, ValueError) as error:
        reason = "it is not JSON"
        if isinstance(error, OSError):
            reason = error.strerror or "the system gives no reason"
        raise InputError(f"{path} cannot be used: {reason}") from error


@dataclass(frozen=True)
class OperatorWork:
    """The work of a plan: floating-point operations, near and far bytes moved, and operators."""

    flops: int
    near_bytes: int
    far_bytes: int
    operators: int

    def units(self) -> tuple[float, float, float, float]:
        """Return the work in the units of `Coefficients`."""
        return self.flops / 1e9, self.near_bytes / 1e9, self.far_bytes / 1e9, self.operators


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch has no types
    """A context manager that adds up the work of the operators that run inside it."""

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
        # A slice reads only its result; torch makes it a view, but a runtime makes a copy.
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
def work_of(call: Call, plan: ConvPlan, cache_bytes: int, lanes: int) -> OperatorWork:
    """Count the work of `plan` for `call`, by running it on meta tensors."""
    n_in = call.weight[1] * call.geometry.groups
    counter = _Counter(cache_bytes, lanes)
    with torch.device("meta"), torch.no_grad():
        x, weight = torch.empty(1, n_in, *call.size), torch.empty(call.weight)
        bias = torch.empty(call.weight[0]) if call.bias else None
        with counter:
            call.run(x, weight, bias, plan)
    return OperatorWork(counter.flops, counter.near, counter.far, counter.operators)


def predict(costs: BackendCosts, call: Call, plan: ConvPlan) -> float:
    """Return the predicted cost of `plan` on one thread, in the unit of the samples.

    Raises:
        KeyError: If the backend's model does not include the algorithm.
    """
    each = costs.forms[plan.algorithm]
    units = work_of(call, plan, costs.cache_bytes, costs.lanes).units()
    rates = (each.per_gflop, each.per_near_gb, each.per_far_gb, each.per_operator)
    return sum(rate * amount for rate, amount in zip(rates, units, strict=True))
