"""Choose the algorithm of each convolution, by the cost model of the target alone."""

from __future__ import annotations

from edge_pipeline.compiler.lowering.convolution import DEPTHWISE, ConvPlan, plans_for, shape_of
from edge_pipeline.compiler.lowering.cost_model import (
    CONSTANT,
    NATIVE,
    BackendCosts,
    Call,
    predict,
)

__all__ = ["MARGIN", "choose", "plans_of"]

# An algorithm replaces the runtime's own convolution with constant weights only if it saves at
# least this share of that convolution's time.
MARGIN = 0.1

# The kernel sizes in the samples of `calibrate.grid`.
_KERNELS = ((1, 1), (3, 3), (5, 5))
# The smallest number of rows or columns of a map in these samples.
_SMALLEST = 24


def plans_of(call: Call, *, constant: bool) -> list[ConvPlan]:
    """Return all plans that can compute `call`; the runtime's own convolution comes first."""
    own = CONSTANT if constant else NATIVE
    return [own, *plans_for(shape_of(call.size, call.weight, call.geometry))]


def choose(costs: BackendCosts, call: Call, *, constant: bool) -> ConvPlan | None:
    """Return the plan with the least predicted time, or None if the model has no algorithm for it.

    A convolution with constant weights is left to the runtime unless the samples contain its kind
    (one group, stride and dilation 1, a measured kernel size, a map no smaller than the smallest
    sample) and another algorithm is predicted to save more than the model's 90th-percentile error
    and at least `MARGIN`. A depth-wise convolution with computed weights that is not left to the
    runtime becomes products of maps, which took 0.6 to 0.9 times as long as the best of the other
    algorithms wherever they were measured (decision 11).

    Args:
        costs: Cost model of the backend.
        call: The convolution.
        constant: Whether its weights are constants.
    """
    known = [plan for plan in plans_of(call, constant=constant) if plan.algorithm in costs.forms]
    # `min` returns the first of equal plans, so the choice is deterministic.
    best = min(known, key=lambda plan: predict(costs, call, plan), default=None)
    if not constant and call.is_depthwise and best not in (None, NATIVE):
        return DEPTHWISE
    if not constant or best is None or CONSTANT not in known:
        return best
    needed = 1 - max(MARGIN, costs.quality.p90_error)
    faster = predict(costs, call, best) <= needed * predict(costs, call, CONSTANT)
    return best if _is_measured(call) and faster else CONSTANT


def _is_measured(call: Call) -> bool:
    """Return whether the samples contain such convolutions: not grouped, strided or dilated."""
    geometry = call.geometry
    plain = geometry.groups == 1 and geometry.stride == (1, 1) == geometry.dilation
    return plain and call.weight[2:] in _KERNELS and min(call.size) >= _SMALLEST
