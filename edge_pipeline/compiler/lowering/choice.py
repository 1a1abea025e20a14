"""Which form a convolution is lowered to, by the cost model of the target alone."""

from __future__ import annotations

from edge_pipeline.compiler.lowering.convolution import ConvPlan, plans_for, shape_of
from edge_pipeline.compiler.lowering.cost_model import (
    CONSTANT,
    NATIVE,
    BackendCosts,
    Call,
    predict,
)

__all__ = ["MARGIN", "choose", "plans_of"]

# By what share of its time another form must be faster than the runtime's own convolution with
# constant weights, at least.
MARGIN = 0.1

# The kernels in the samples of `tools/fit_cost_model.py`.
_KERNELS = ((1, 1), (3, 3), (5, 5))
# And the fewest rows and columns of their maps.
_SMALLEST = 24


def plans_of(call: Call, *, constant: bool) -> list[ConvPlan]:
    """All the ways to compute `call`, the runtime's own first."""
    own = CONSTANT if constant else NATIVE
    return [own, *plans_for(shape_of(call.size, call.weight, call.geometry))]


def choose(costs: BackendCosts, call: Call, *, constant: bool) -> ConvPlan | None:
    """The plan that is predicted to be fastest; None if the model has no form for it.

    A convolution with constant weights stays the runtime's own except if a form was measured for
    its kind (one group, stride and dilation 1, a kernel of the samples, no smaller map) and is
    predicted to be faster by more than the model's error and by at least `MARGIN`.

    Args:
        costs: the backend's model.
        call: the convolution.
        constant: whether its weights are constants.
    """
    known = [plan for plan in plans_of(call, constant=constant) if plan.algorithm in costs.forms]
    # `min` takes the first of equals, so the order of the plans decides, and the same each time.
    best = min(known, key=lambda plan: predict(costs, call, plan), default=None)
    if not constant or best is None or CONSTANT not in known:
        return best
    needed = 1 - max(MARGIN, costs.quality.p90_error)
    faster = predict(costs, call, best) <= needed * predict(costs, call, CONSTANT)
    return best if _is_measured(call) and faster else CONSTANT


def _is_measured(call: Call) -> bool:
    """Whether the samples have convolutions of this kind: no grouped, strided or dilated ones."""
    geometry = call.geometry
    plain = geometry.groups == 1 and geometry.stride == (1, 1) == geometry.dilation
    return plain and call.weight[2:] in _KERNELS and min(call.size) >= _SMALLEST
