"""The weights of a network as functions of its fixed number, found by tracing the network.

`respecialise` can only change weights. So the curve covers the values near the fixed number for
which the program differs in its weights only: a rescaling factor changes only weights until a map
gets another size. In that range, the weights of a hypernetwork with piecewise linear activations
lie exactly on a few straight lines, whatever its size. Other curves get as many knots as they need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edge_pipeline.artifact.weight_curve import CurveSpec, WeightCurve
from edge_pipeline.compiler.passes.specialise import Specialise, specialised_weights
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.errors import EdgePipelineError, InputError
from edge_pipeline.models.reach import Reach

__all__ = ["curve_of"]

# The range is searched in steps of this share of the value, or of 1 if the value is less than 1.
_STEP = 1e-4
_MOST_STEPS = 1 << 9
# Rounding to float32 moves weights off a straight line by up to this share of the largest weight.
_TOLERANCE = 2e-6
# Weights smaller than this share of the largest weight of all get the tolerance of that share.
_FAINT = 1e-3
# Each knot stores as many values as the network has weights.
_MOST_KNOTS = 16

_Weights = dict[str, NDArray[np.float32]]


class _TooManyKnots(Exception):  # noqa: N818 - caught here
    """The weights lie on more straight lines than an artifact should store."""


@dataclass(frozen=True)
class _Point:
    """The program for one value of the fixed number: its text, other constants and weights."""

    text: str
    others: tuple[tuple[str, Tensor], ...]
    weights: _Weights

    @classmethod
    def of(cls, program: ExportedProgram) -> _Point:
        found = specialised_weights(program)
        exchanged = {value.data_ptr() for value in found.values()}
        others = tuple(
            (name, value)
            for name, value in sorted(program.constants.items())
            if isinstance(value, Tensor) and value.data_ptr() not in exchanged
        )
        shapes = [str(getattr(node.meta.get("val"), "shape", "")) for node in program.graph.nodes]
        weights = {name: value.numpy() for name, value in found.items()}
        return cls(f"{program.graph}{shapes}", others, weights)

    def is_like(self, other: _Point) -> bool:
        """Return whether the two programs are equal except for their weights."""
        return self.text == other.text and all(
            torch.equal(mine, theirs)
            for (_, mine), (_, theirs) in zip(self.others, other.others, strict=True)
        )


def curve_of(network: SourceNetwork) -> WeightCurve:
    """Return the weights near the fixed number, at the knots of the straight lines they lie on.

    Args:
        network: Network with example inputs, and one number among its fixed values.

    Raises:
        InputError: If no number or several numbers are fixed, or every other value changes more of
            the program than its weights.
        CompileError: If torch cannot trace the network.
    """
    name, value = _number(network)
    samples = _Samples(network, name, value)
    low, high = samples.furthest(-samples.step), samples.furthest(samples.step)
    if not samples.own.weights or low == high:
        raise samples.refusal()
    while True:
        try:
            knots = tuple(samples.knots(low, high))
            break
        except _TooManyKnots:
            low, high = (low + value) / 2, (high + value) / 2
    stacked = {
        key: np.stack([samples.at(knot).weights[key] for knot in knots])
        for key in samples.own.weights
    }
    weights = {key: v[:1] if (v == v[0]).all() else v for key, v in stacked.items()}
    return WeightCurve(CurveSpec(input=name, knots=knots), weights)


def _number(network: SourceNetwork) -> tuple[str, float]:
    """Return the name and value of the one fixed input that is a number."""
    numbers = {
        name: value
        for name, value in network.fixed.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if len(numbers) != 1:
        found = ", ".join(numbers) or "none"
        raise InputError(
            f"--respecialisable requires one fixed number, such as --fix phi=0.35; the fixed "
            f"numbers are: {found}"
        )
    ((name, value),) = numbers.items()
    return name, float(value)


class _Trail(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the operators, numbers and shapes that an eager run applies to its inputs."""

    def __init__(self, inputs: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[object] = []
        self._reach = Reach(inputs)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._reach.follow((args, kwargs), result):
            operands = tree_leaves((args, kwargs))
            self.steps += [func, *(v.shape if isinstance(v, Tensor) else v for v in operands)]
        return result


class _Samples:
    """The network's weights for values of its fixed input, each computed once."""

    def __init__(self, network: SourceNetwork, name: str, value: float) -> None:
        self._network, self._name, self._value = network, name, value
        self.step = _STEP * max(1.0, abs(value))
        self._points: dict[float, _Point] = {}
        self._steps = self._trail(value)
        self.own = self.at(value)
        largest = {key: float(np.abs(v).max()) for key, v in self.own.weights.items()}
        faint = _FAINT * max(largest.values(), default=0.0)
        self._bounds = {key: _TOLERANCE * max(v, faint) for key, v in largest.items()}

    def at(self, value: float) -> _Point:
        """Return the program for a value.

        Raises:
            InputError: If it differs from the program for the fixed value in more than its weights.
        """
        if value not in self._points:
            network = self._with(value)
            program = network.exported(network.example)
            point = self._points[value] = _Point.of(Specialise().run(program).program)
            if not point.is_like(self._points[self._value]):
                raise self.refusal()
        return self._points[value]

    def refusal(self) -> InputError:
        """Return the error for a network in which other values change more than weights."""
        return InputError(
            f"another {self._name} changes more of {type(self._network.module).__name__} than "
            "its weights; leave out --respecialisable"
        )

    def _with(self, value: float) -> SourceNetwork:
        return self._network.with_fixed({**self._network.fixed, self._name: value})

    def _trail(self, value: float) -> list[object]:
        network = self._with(value)
        with _Trail(network.example) as trail:
            network.run(network.example)
        steps: list[object] = trail.steps
        return steps

    def furthest(self, step: float) -> float:
        """Return the furthest value, in whole steps, whose program differs in its weights only."""

        def value(steps: int) -> float:
            return round(self._value + steps * step, 10)

        inside, outside = 0, 1
        while outside <= _MOST_STEPS and self._is_alike(value(outside)):
            inside, outside = outside, 2 * outside
        while outside - inside > 1 and inside < _MOST_STEPS:
            middle = (inside + outside) // 2
            if self._is_alike(value(middle)):
                inside = middle
            else:
                outside = middle
        return value(inside)

    def _is_alike(self, value: float) -> bool:
        try:
            return self._trail(value) == self._steps
        except (EdgePipelineError, RuntimeError, ValueError, ArithmeticError, LookupError):
            # The network does not support the value.
            return False

    def knots(self, low: float, high: float) -> list[float]:
        """Return the values between which all weights are straight lines, including both ends.

        Raises:
            _TooManyKnots: If there are more values than an artifact should store.
        """
        found: list[float] = []
        for knot in self._pieces(low, high):
            # A knot in the middle of a straight line is not needed.
            while len(found) > 1 and self._is_straight(found[-2], found[-1], knot):
                found.pop()
            found.append(knot)
            if len(found) >= _MOST_KNOTS:  # `high` is one more
                raise _TooManyKnots
        while len(found) > 1 and self._is_straight(found[-2], found[-1], high):
            found.pop()
        return [*found, high]

    def _pieces(self, low: float, high: float) -> Iterator[float]:
        """Yield the beginnings of straight pieces, in order."""
        first, last = low + (high - low) / 4, high - (high - low) / 4
        straight = all(self._is_straight(low, middle, high) for middle in (first, last))
        if straight or high - low < self.step / 64:
            yield low
            return
        bend = _crossing(lambda value: self.at(value).weights, (low, first, last, high))
        if not low < bend < high:
            bend = (low + high) / 2
        yield from self._pieces(low, bend)
        yield from self._pieces(bend, high)

    def _is_straight(self, low: float, middle: float, high: float) -> bool:
        """Return whether the weights at `middle` lie on the straight lines from `low` to `high`."""
        share = (middle - low) / (high - low)
        ends, found = (self.at(low).weights, self.at(high).weights), self.at(middle).weights
        return all(
            float(np.abs((1 - share) * ends[0][key] + share * ends[1][key] - found[key]).max())
            <= bound
            for key, bound in self._bounds.items()
        )


def _crossing(
    weights: Callable[[float], _Weights], values: tuple[float, float, float, float]
) -> float:
    """Return where the line through the first two values comes nearest to that of the last two."""
    low, first, last, high = (
        np.concatenate([w.ravel().astype(np.float64) for w in weights(v).values()]) for v in values
    )
    a, b, c, d = values
    left, right = (first - low) / (b - a), (high - last) / (d - c)
    turn = left - right
    size = float(turn @ turn)
    # The two lines, with t = 0 at a: low + left * t, and high + right * (t - (d - a)).
    apart = low - high + right * (d - a)
    return a - float(turn @ apart) / size if size else (a + d) / 2
