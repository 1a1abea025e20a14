"""The weights of a network as functions of its fixed number, and the range of this function.

If a program can serve every value of the trained range, the curve covers that range, and map sizes
are tabulated. Otherwise `respecialise` can only change weights. Then the curve covers the values
near the fixed number for which the program differs in its weights only: a rescaling factor changes
only weights until a map gets another size. The weights of a hypernetwork with piecewise linear
activations lie exactly on straight lines, whatever its size. Other curves get as many knots as
they need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np

from edge_pipeline.artifact.weight_curve import CurveSpec, WeightCurve
from edge_pipeline.compiler.source.factors import factorised
from edge_pipeline.compiler.source.knots import TooManyKnots, bounds_of, is_straight, knots_of
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.tabulate import NotEveryValue, Tabulated, tabulated
from edge_pipeline.compiler.source.trail import UNSUPPORTED, sample_of, trail_of
from edge_pipeline.compiler.source.weights_at import (
    ByExport,
    ByTrail,
    Weights,
    WeightsAt,
    refusal,
)
from edge_pipeline.errors import InputError

__all__ = ["Found", "curve_of"]

# The range is searched in steps of this share of the value, or of 1 if the value is less than 1.
_STEP = 1e-4
_MOST_STEPS = 1 << 9
# Each knot stores as many values as the network has weights.
_MOST_KNOTS = 16
# Knots over the whole trained range.
_MOST_OF_RANGE = 512
# Values with which a range begins if the network does not support its lower end, such as phi = 0.
_FIRST = (1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2)
# How many pieces are compared with all weights, if a sample of them determined the knots.
_COMPARED = 16


@dataclass(frozen=True)
class Found:
    """The weights as functions of the fixed number.

    Attributes:
        curve: The weights; with a table of sizes if one program can serve every value.
        tabulated: The table, and where in a program its numbers are.
        notes: The reason why one program cannot serve every value, if it was asked to.
    """

    curve: WeightCurve
    tabulated: Tabulated | None = None
    notes: tuple[str, ...] = ()


def curve_of(network: SourceNetwork, *, every: bool = False) -> Found:
    """Return the weights near the fixed number, or over the whole range that was trained.

    Args:
        network: Network with example inputs, and one number among its fixed values.
        every: Whether the program can get other map sizes, so that it may serve every value.

    Raises:
        InputError: If no number or several numbers are fixed, or every other value changes more of
            the program than its weights.
        CompileError: If torch cannot trace the network.
    """
    name, value = _number(network)
    weights: WeightsAt | None = ByTrail.of(network, name, value)
    notes: tuple[str, ...] = ()
    if every:
        try:
            return _over_range(network, name, value, weights)
        except NotEveryValue as reason:
            notes = (f"respecialise changes {name} in a narrow range only: {reason}",)
    near = _near(network, name, value, weights or ByExport(network, name, value))
    return replace(near, notes=notes)


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


def _limits(network: SourceNetwork, name: str, value: float) -> tuple[float, float]:
    """Return the lowest and highest value that the network states and supports."""
    stated = getattr(network.module, f"{name}_range", None)
    if stated is None:
        raise NotEveryValue(f"{type(network.module).__name__} has no attribute {name}_range")
    low, high = map(float, stated)
    for first in (low, *_FIRST):
        if low <= first < high and _runs(network, name, first):
            break
    else:
        raise NotEveryValue(f"the network supports one {name} only")
    if not first <= value <= high:
        raise NotEveryValue(f"{name}={value:g} is not within {first:g} to {high:g}")
    return first, high


def _runs(network: SourceNetwork, name: str, value: float) -> bool:
    try:
        trail_of(network.with_fixed({**network.fixed, name: value}), sampled=True)
    except UNSUPPORTED:
        return False
    return True


def _over_range(
    network: SourceNetwork, name: str, value: float, weights: WeightsAt | None
) -> Found:
    """Return the weights and sizes over the whole range; they do not depend on the fixed value."""
    limits = _limits(network, name, value)
    if not isinstance(weights, ByTrail):
        raise NotEveryValue("its weights are not operands of its operators")
    if not weights.own:
        raise NotEveryValue(f"no weight depends on {name}")
    sizes = tabulated(network, name, weights.trail, limits)
    try:
        bounds = bounds_of(*(weights.at(one) for one in np.linspace(*limits, 5).tolist()))
        knots = _sampled_knots(weights, limits, bounds) or knots_of(
            cache(weights.at), *limits, bounds, _MOST_OF_RANGE
        )
    except TooManyKnots:
        raise NotEveryValue(
            f"its weights do not lie on {_MOST_OF_RANGE} straight lines or fewer"
        ) from None
    except InputError:
        raise NotEveryValue(f"{name} changes more than weights and map sizes") from None
    curve = _stored(name, knots, weights)
    return Found(replace(curve, table=sizes.table), sizes)


def _sampled_knots(
    weights: ByTrail, limits: tuple[float, float], bounds: dict[str, float]
) -> list[float] | None:
    """Return the knots that a sample of the weights has; None if all weights have others."""

    @cache
    def sample(value: float) -> Weights:
        found = weights.at(value, sampled=True)
        return {key: v.ravel()[sample_of(v.size)].copy() for key, v in found.items()}

    knots = knots_of(sample, *limits, bounds, _MOST_OF_RANGE)
    pieces = list(pairwise(knots))
    for low, high in pieces[:: 1 + len(pieces) // _COMPARED]:
        if not is_straight(weights.at, (low, (low + high) / 2, high), bounds, 1.5):
            return None
    return knots


def _near(network: SourceNetwork, name: str, value: float, weights: WeightsAt) -> Found:
    """Return the weights for the values near the fixed one with equal map sizes."""
    search = _Near(network, name, value, weights)
    low, high = search.furthest(-search.step), search.furthest(search.step)
    if not weights.own or low == high:
        raise refusal(network, name)
    at = cache(weights.at)
    bounds = bounds_of(weights.own)
    while True:
        try:
            knots = knots_of(at, low, high, bounds, _MOST_KNOTS)
            return Found(_stored(name, knots, weights))
        except TooManyKnots:
            low, high = (low + value) / 2, (high + value) / 2


class _Near:
    """Search of the values for which the network applies the same operators and sizes."""

    def __init__(self, network: SourceNetwork, name: str, value: float, weights: WeightsAt) -> None:
        self.step = _STEP * max(1.0, abs(value))
        self._value = value

        def by_trail(one: float) -> object:
            fixed = network.with_fixed({**network.fixed, name: one})
            return trail_of(fixed, sampled=True).steps

        self._steps: Callable[[float], object] = by_trail
        if isinstance(weights, ByTrail):
            self._steps = weights.steps
        self._own = self._steps(value)

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
            return self._steps(value) == self._own
        except UNSUPPORTED:
            return False  # the network does not support the value


def _stored(name: str, knots: list[float], weights: WeightsAt) -> WeightCurve:
    """Return the curve with the weights at the knots, as factors where these take less space."""
    found = [weights.at(knot) for knot in knots]
    plain, factors = {}, {}
    for key in weights.own:
        values = np.stack([one.pop(key) for one in found])
        if (values == values[0]).all():
            plain[key] = values[:1]
            continue
        parts = factorised(values.reshape(len(knots), -1))
        if parts is None:
            plain[key] = values
        else:
            factors[key] = (parts[0], parts[1].reshape(-1, *values.shape[1:]))
    return WeightCurve(CurveSpec(input=name, knots=tuple(knots)), plain, factors)
