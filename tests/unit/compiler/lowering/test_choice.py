import pytest

from edge_pipeline.compiler.lowering.choice import MARGIN, choose
from edge_pipeline.compiler.lowering.convolution import DEPTHWISE, ConvGeometry, ConvPlan
from edge_pipeline.compiler.lowering.cost_model import (
    CONSTANT,
    NATIVE,
    BackendCosts,
    Call,
    load_costs,
)
from edge_pipeline.compiler.lowering.padding import Padding
from edge_pipeline.device_profile import DEFAULT_TARGET

AROUND = Padding(1, 1, "zeros")


def call(n_out=16, n_in=16, size=(64, 64), *, kernel=3, **geometry):
    return Call(size, (n_out, n_in, kernel, kernel), ConvGeometry(AROUND, **geometry), bias=False)


def costs(cache_bytes=1 << 20, p90_error=0.0, **algorithms):
    keys = ("per_gflop", "per_near_gb", "per_far_gb", "per_operator")
    each = {name: dict(zip(keys, values, strict=True)) for name, values in algorithms.items()}
    quality = {"median_error": 0.0, "p90_error": p90_error, "held_out_layers": 1}
    quality |= {"best_found": 0, "within_10_percent": 0}
    fields = {"cache_bytes": cache_bytes, "lanes": 1, "forms": each, "tools": {}}
    return BackendCosts.model_validate(fields | {"quality": quality})


def test_the_fastest_that_the_model_knows_is_chosen():
    slow, fast = (100.0,) * 4, (0.1,) * 4
    assert choose(costs(im2col=slow, native=fast), call(), constant=False) == NATIVE
    assert choose(costs(im2col=fast, native=slow), call(), constant=False).algorithm == "im2col"
    assert choose(costs(im2col=slow, native=fast), call(), constant=True).algorithm == "im2col"
    assert choose(costs(im2col=slow, constant=fast), call(), constant=True) == CONSTANT
    assert choose(costs(constant=fast), call(), constant=False) is None


def test_a_computed_depthwise_convolution_becomes_products_of_maps_unless_the_runtime_takes_it():
    fast, slow = (0.1,) * 4, (100.0,) * 4
    layer = call(n_in=1, groups=16)
    assert choose(costs(im2col=fast), layer, constant=False) == DEPTHWISE
    assert choose(costs(im2col=slow, native=fast), layer, constant=False) == NATIVE
    assert choose(costs(im2col=slow, constant=fast), layer, constant=True) == CONSTANT
    assert choose(costs(constant=fast), layer, constant=False) is None
    grouped = call(n_out=32, n_in=1, groups=16)
    assert choose(costs(im2col=fast), grouped, constant=False).algorithm == "im2col"


def test_strips_are_chosen_by_what_is_near():
    model = costs(stacked_columns=(1.0, 1.0, 100.0, 0.0), cache_bytes=4 << 20)
    large = call(size=(256, 256))
    assert choose(model, large, constant=False) == ConvPlan("stacked_columns", 2 << 20)
    costly = costs(stacked_columns=(1.0, 1.0, 1.0, 10.0), cache_bytes=4 << 20)
    assert choose(costly, large, constant=False) == ConvPlan("stacked_columns", 0)


@pytest.mark.parametrize(
    ("share", "p90_error", "lowered"),
    [
        (1 - MARGIN - 0.02, 0.0, True),
        (1 - MARGIN + 0.02, 0.0, False),
        (1 - MARGIN - 0.02, 0.3, False),
        (0.6, 0.3, True),
    ],
)
def test_constant_weights_are_lowered_by_a_clear_margin_alone(share, p90_error, lowered):
    # The same arithmetic in both algorithms, at prices in the proportion `share`.
    algorithms = {"im2col": (share, 0.0, 0.0, 0.0), "constant": (1.0, 0.0, 0.0, 0.0)}
    model = costs(p90_error=p90_error, **algorithms)
    expected = "im2col" if lowered else "constant"
    assert choose(model, call(), constant=True).algorithm == expected


@pytest.mark.parametrize(
    "layer",
    [
        call(16, 1, groups=16),
        call(16, 8, groups=2),
        call(stride=(2, 2)),
        call(dilation=(2, 2)),
        call(kernel=7),
        call(size=(1, 1)),
    ],
    ids=["depth-wise", "grouped", "strided", "dilated", "a kernel of 7", "one pixel"],
)
def test_kinds_that_were_not_measured_stay_the_runtimes_own(layer):
    fast, slow = (1e-6, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)
    model = costs(im2col=fast, constant=slow, native=slow)
    assert choose(model, layer, constant=True) == CONSTANT
    lowered = "tap_sum" if layer.is_depthwise else "im2col"
    assert choose(model, layer, constant=False).algorithm == lowered


@pytest.mark.parametrize("backend", ["executorch", "litert"])
def test_the_narrow_last_layer_of_the_shipped_network_is_lowered(backend):
    model = load_costs(DEFAULT_TARGET).backends[backend]
    assert choose(model, call(3, 16, (512, 512)), constant=True).algorithm == "matmul_first"
