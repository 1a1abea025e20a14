"""[AmortizedScaling], Tables 1 and 2: inference cost of every rescaling factor.

The paper's "GFLOPs" are 1e9 multiply-accumulates of the primary network's convolutions.
"""

import pytest

from edge_pipeline.models.cost import cost_of_name
from edge_pipeline.models.layers.rescaling import sizes_of

OASIS = [
    "1.169",
    "1.180",
    "1.197",
    "1.224",
    "1.260",
    "1.303",
    "1.360",
    "1.427",
    "1.512",
    "1.617",
    "1.733",
    "1.882",
    "2.048",
    "2.256",
    "2.510",
    "2.787",
    "3.128",
    "3.518",
    "3.991",
]
PETS = [
    "0.187",
    "0.194",
    "0.206",
    "0.225",
    "0.258",
    "0.299",
    "0.374",
    "0.495",
    "0.683",
    "1.055",
    "1.550",
    "2.381",
]


def _rows(printed):
    """Return pairs of phi as printed in the paper (0.05, 0.10, ...) and its printed cost."""
    return [(round(0.05 * i, 2), cost) for i, cost in enumerate(printed, start=1)]


@pytest.mark.parametrize(("phi", "printed"), _rows(OASIS))
def test_oasis(phi, printed):
    cost = cost_of_name("phi_unet_oasis", {}, (1, 160, 192), {"phi": phi})
    assert f"{cost.path.macs / 1e9:.3f}" == printed


@pytest.mark.parametrize(("phi", "printed"), _rows(PETS))
def test_pets_and_birds(phi, printed):
    cost = cost_of_name("phi_unet_pets", {}, (3, 192, 256), {"phi": phi})
    assert f"{cost.path.macs / 1e9:.3f}" == printed


def test_the_text_s_rounding_and_its_five_levels_are_not_meant():
    """Only rounding down gives the exact sizes; five levels of OASIS would cost too much."""
    assert sizes_of(192, 256, 0.55, 5)[2] == (57, 77)  # 105 * .55 = 57.75, 140 * .55 = 77
    five = {"encoder": "32-32-32-32-32", "decoder": "32-32-32-32"}
    cost = cost_of_name("phi_unet_oasis", five, (1, 160, 192), {"phi": 0.5})
    assert f"{cost.path.macs / 1e9:.3f}" != OASIS[9]


def test_the_hypernetwork_costs_no_macs_to_speak_of():
    """Section 3: inference does not run it; the table states the cost of the primary network."""
    hyper = cost_of_name("phi_unet_pets", {}, (3, 192, 256), {"phi": 0.5})
    plain = cost_of_name("phi_unet_pets", {"hyper": False}, (3, 192, 256), {"phi": 0.5})
    assert hyper.path.macs == plain.macs
    assert plain.predictor.params == 0
    # 2 x 10 + 10 and 10 x 100 + 100, then 100 weights and a bias for each of theta's parameters.
    assert hyper.predictor.params == hyper.params == 30 + 1100 + 101 * plain.params
    assert hyper.predictor.macs == 20 + 1000 + 100 * plain.params
