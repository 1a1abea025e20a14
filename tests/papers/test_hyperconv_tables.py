"""[HyperConvISP], Table 1, rows "Ours" and "no HC": parameters and FLOPs.

The paper's FLOPs are 2 x MAC. Its 12.6 Mpix are the pixels of the sensor and of the picture:
4096 x 3072 = 12,582,912, which is a packed input of 4 x 1536 x 2048. With 12.6 million packed
pixels every value would be four times as large, which `test_packed_pixels_are_not_meant` checks.
"""

import pytest

from edge_pipeline.models.cost import cost_of_name

PACKED = (4, 1536, 2048)

# Options, parameters, printed parameters, TFLOPs with two decimals, printed TFLOPs.
HYPER = [
    ((64, 32, 2048), 276_049_571, "276 M", 0.74, "0.7"),
    ((32, 32, 2048), 94_651_907, "95 M", 0.30, "0.3"),
    ((32, 16, 2048), 90_485_331, "90 M", 0.20, "0.2"),
    ((8, 32, 4000), 113_464_971, "113 M", 0.14, "0.1"),
]
ABLATION = [(96, 359_235, "0.4", 1.28, "1.3"), (64, 161_155, "0.2", 0.59, "0.6")]


def _cost(*, size=PACKED, **options):
    return cost_of_name("hyperconv_unet", options, size)


@pytest.mark.parametrize(("widths", "params", "printed_params", "tera", "printed"), HYPER)
def test_hyperconv_rows(widths, params, printed_params, tera, printed):
    n_fwd, n_embed, n_hid = widths
    cost = _cost(n_fwd=n_fwd, n_embed=n_embed, n_hid=n_hid)
    assert cost.params == params
    assert f"{cost.params / 1e6:.0f} M" == printed_params
    assert f"{cost.flops / 1e12:.2f}" == f"{tera:.2f}"
    assert f"{cost.flops / 1e12:.1f}" == printed
    assert cost.flops == 2 * cost.macs


@pytest.mark.parametrize(("n_fwd", "params", "printed_params", "tera", "printed"), ABLATION)
def test_rows_without_hyperconv(n_fwd, params, printed_params, tera, printed):
    cost = _cost(n_fwd=n_fwd, hyper=False)
    assert cost.params == params
    assert f"{cost.params / 1e6:.1f}" == printed_params
    assert f"{cost.flops / 1e12:.2f}" == f"{tera:.2f}"
    assert f"{cost.flops / 1e12:.1f}" == printed
    assert cost.predictor.params == 0


def test_packed_pixels_are_not_meant():
    cost = _cost(n_fwd=64, n_embed=32, n_hid=2048, size=(4, 3072, 4096))
    assert f"{cost.flops / 1e12:.1f}" != "0.7"


def test_the_path_costs_what_the_ablation_costs():
    """A HyperConv costs as much as an ordinary convolution, except for its filter predictor."""
    hyper = _cost(n_fwd=64, n_embed=32, n_hid=2048)
    plain = _cost(n_fwd=64, hyper=False)
    assert hyper.path.macs == plain.macs


def test_predictor_cost_hardly_depends_on_its_width():
    """Section 4: hidden units add parameters but almost no FLOPs."""
    narrow = _cost(n_fwd=32, n_embed=16, n_hid=256)
    wide = _cost(n_fwd=32, n_embed=16, n_hid=2048)
    assert wide.params > 9 * narrow.params
    assert wide.flops < 1.001 * narrow.flops
