"""Fit the cost model that selects the algorithm of a convolution to measured samples.

Source: decision 11 (docs/decisions/0011-cost-model.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edge_pipeline.calibrate.grid import call_of, layer_of
from edge_pipeline.compiler.lowering.convolution import ConvPlan
from edge_pipeline.compiler.lowering.cost_model import (
    CONSTANT,
    NATIVE,
    BackendCosts,
    Call,
    Coefficients,
    CostSample,
    Quality,
    predict,
    work_of,
)
from edge_pipeline.optional import require

__all__ = ["CACHES", "LANES", "fit", "fitted", "order_of", "quality_of"]

CACHES = tuple(1 << power for power in range(18, 25))
LANES = (1, 4, 8, 16, 32)
_UNKNOWN = Quality(
    median_error=0, p90_error=0, held_out_layers=1, best_found=0, within_10_percent=0
)


def order_of(sample: CostSample) -> tuple[object, ...]:
    """Return the key by which samples are sorted, so that their order decides nothing."""
    return sample.backend, sample.weight, sample.size, sample.form, sample.strip_bytes


def fitted(
    samples: Sequence[CostSample], least_per_gflop: float, tools: Mapping[str, str]
) -> BackendCosts:
    """Return the model of a backend with its quality.

    Args:
        samples: Samples of one backend.
        least_per_gflop: Cost of a GFLOP at the device's peak, in the unit of the samples.
        tools: Versions of the measured packages.
    """
    ordered = sorted(samples, key=order_of)
    model = fit(ordered, least_per_gflop)
    quality = quality_of(ordered, model, least_per_gflop)
    return model.model_copy(update={"quality": quality, "tools": dict(sorted(tools.items()))})


def fit(samples: Sequence[CostSample], least_per_gflop: float) -> BackendCosts:
    """Return the backend's model with the smallest error and regret over cache sizes and lanes.

    Args:
        samples: Samples of one backend; those of a layer must be adjacent.
        least_per_gflop: Cost of a GFLOP at the device's peak, in the unit of the samples.
    """
    models = (
        _model(samples, *which, least_per_gflop) for which in itertools.product(CACHES, LANES)
    )
    return min(
        models, key=lambda model: float(np.mean(_errors(model, samples))) + _regret(model, samples)
    )


def quality_of(
    samples: Sequence[CostSample], model: BackendCosts, least_per_gflop: float
) -> Quality:
    """Return how well the model predicts costs, and ranks the algorithms of held-out layers.

    Each layer is held out in turn. A model with the same cache size and lanes is fitted to the
    others, and ranks the held-out layer's algorithms with computed weights.
    """
    errors = _errors(model, samples)
    layers = sorted({(s.weight, s.size) for s in samples})
    tried = best = near = 0
    for layer in layers:
        others = [s for s in samples if (s.weight, s.size) != layer]
        blind = _model(others, model.cache_bytes, model.lanes, least_per_gflop)
        known = set(blind.forms) - {CONSTANT.algorithm}
        held = [s for s in samples if (s.weight, s.size) == layer and s.form in known]
        if not held:  # no other layer has these algorithms
            continue
        chosen = min(held, key=lambda s: predict(blind, _call(s), _plan(s)))
        fastest = min(held, key=_cost)
        tried += 1
        best += chosen.form == fastest.form
        near += _cost(chosen) <= 1.1 * _cost(fastest)
    return Quality(
        median_error=round(float(np.median(errors)), 4),
        p90_error=round(float(np.percentile(errors, 90)), 4),
        held_out_layers=max(1, tried),
        best_found=best,
        within_10_percent=near,
    )


def _cost(sample: CostSample) -> float:
    """Return the median cost, at least 0.001, because a cost of 0 cannot be fitted."""
    return max(1e-3, sample.cost)


def _call(sample: CostSample) -> Call:
    return call_of(layer_of(sample))


def _plan(sample: CostSample) -> ConvPlan:
    return ConvPlan(sample.form, sample.strip_bytes)


def _coefficients(
    samples: Sequence[CostSample], cache_bytes: int, lanes: int, least_per_gflop: float
) -> Coefficients:
    """Fit the model of one algorithm by non-negative least squares on relative errors.

    A GFLOP costs at least as much as at the device's peak, and a far byte at least as much as a
    near one. Without these bounds, a fit to few samples can predict no cost for large maps.
    """
    nnls = require("scipy.optimize", "train", "calibrating a device").nnls
    rows = np.array([work_of(_call(s), _plan(s), cache_bytes, lanes).units() for s in samples])
    rows[:, 1] += rows[:, 2]  # the coefficient of far bytes is their cost above that of near ones
    costs = np.array([_cost(s) for s in samples])
    left = 1 - least_per_gflop * rows[:, 0] / costs
    (flops, near, beyond, operators), _ = nnls(rows / costs[:, None], left)
    values = (least_per_gflop + flops, near, near + beyond, operators)
    rounded = (float(f"{value:.6g}") for value in values)
    return Coefficients.model_validate(dict(zip(Coefficients.model_fields, rounded, strict=True)))


def _model(
    samples: Sequence[CostSample], cache_bytes: int, lanes: int, least_per_gflop: float
) -> BackendCosts:
    algorithms = {
        name: _coefficients(
            [s for s in samples if s.form == name], cache_bytes, lanes, least_per_gflop
        )
        for name in sorted({s.form for s in samples})
    }
    return BackendCosts(
        cache_bytes=cache_bytes, lanes=lanes, forms=algorithms, quality=_UNKNOWN, tools={}
    )


def _errors(model: BackendCosts, samples: Iterable[CostSample]) -> list[float]:
    return [abs(predict(model, _call(s), _plan(s)) / _cost(s) - 1) for s in samples]


def _regret(model: BackendCosts, samples: Sequence[CostSample]) -> float:
    """Return the mean relative excess cost of the chosen algorithms over the cheapest ones.

    Each layer counts once with computed weights and once with constant weights.
    """
    lost = []
    groups = itertools.groupby(samples, key=lambda s: (s.weight, s.size))
    for group, other in itertools.product([list(g) for _, g in groups], (CONSTANT, NATIVE)):
        held = [s for s in group if s.form != other.algorithm]
        if held:
            chosen = min(held, key=lambda s: predict(model, _call(s), _plan(s)))
            lost.append(_cost(chosen) / min(map(_cost, held)) - 1)
    return float(np.mean(lost))
