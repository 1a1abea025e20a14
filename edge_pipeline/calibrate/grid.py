"""The layers on which the algorithms of a convolution are measured."""

from __future__ import annotations

from edge_pipeline.compiler.lowering.choice import plans_of
from edge_pipeline.compiler.lowering.convolution import ConvGeometry, ConvPlan
from edge_pipeline.compiler.lowering.cost_model import CONSTANT, NATIVE, Call, CostSample
from edge_pipeline.compiler.lowering.padding import Padding

__all__ = ["LAYERS", "QUICK_LAYERS", "Layer", "call_of", "layer_of", "plans_of_layer"]

Layer = tuple[int, int, int, int]
"""Output and input channels, kernel size, side of the map."""

# Layers of the project's networks and similar ones.
LAYERS: tuple[Layer, ...] = (
    (16, 4, 3, 192),
    (16, 16, 3, 192),
    (3, 16, 3, 192),
    (8, 16, 3, 128),
    (16, 8, 3, 128),
    (8, 8, 3, 64),
    (12, 32, 3, 128),
    (32, 32, 3, 64),
    (32, 8, 3, 96),
    (64, 64, 3, 32),
    (16, 48, 3, 64),
    (4, 24, 3, 96),
    (16, 16, 1, 128),
    (8, 8, 5, 64),
    (16, 16, 3, 24),
    (3, 16, 3, 32),
)
# As few as a fit needs, to try a device; no strips, because the maps are small.
QUICK_LAYERS: tuple[Layer, ...] = ((16, 4, 3, 48), (3, 16, 3, 32), (16, 16, 3, 24), (8, 8, 1, 48))


def call_of(layer: Layer) -> Call:
    """Return the convolution of a layer: padded by reflection to keep its size, with a bias."""
    n_out, n_in, kernel, side = layer
    geometry = ConvGeometry(Padding(kernel // 2, kernel // 2, "reflect"))
    return Call((side, side), (n_out, n_in, kernel, kernel), geometry, bias=True)


def layer_of(sample: CostSample) -> Layer:
    """Return the layer of a sample."""
    n_out, n_in, kernel, _ = sample.weight
    return n_out, n_in, kernel, sample.size[0]


def plans_of_layer(layer: Layer) -> list[ConvPlan]:
    """Return all plans of a layer; the runtime's own convolution comes first, in both kinds."""
    own = [CONSTANT, NATIVE]
    return own + [plan for plan in plans_of(call_of(layer), constant=True) if plan not in own]
