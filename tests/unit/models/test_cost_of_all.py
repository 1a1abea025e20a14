"""Multiply-accumulates of registered networks, against torch's own counter and against fvcore."""

import logging

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edge_pipeline.models.base import build_model
from edge_pipeline.models.cost import cost_of, without_values
from edge_pipeline.registry import MODELS

PHI = {"phi": 0.35}
SMALL = {"encoder": "4-6-8", "out_channels": 2, "hidden2": 8}
PLAIN = {
    "phi_fpn": {"pyramid": 5},
    "phi_se_unet": {"decoder": "5-3", "reduction": 2},
    **{name: {"decoder": "5-3"} for name in ("phi_psp", "phi_residual_unet", "phi_unet")},
}


@pytest.mark.parametrize("name", MODELS.names())
def test_the_total_of_every_network_is_what_torchs_counter_sees(name):
    with torch.device("meta"):
        model = build_model(name, {})
    fixed = PHI if name.startswith("phi_") else {}
    shape = (1, model.inputs[0].channels, *model.default_size)
    shapes, inputs = without_values(model, shape, fixed)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes(*inputs, **fixed)
    total = counter.get_total_flops()
    assert cost_of(model, shape, fixed).flops == total > 0


class _AtPhi(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x, **PHI)


@pytest.mark.parametrize("name", PLAIN)
def test_a_network_with_ordinary_weights_is_what_fvcore_sees(name):
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    model = build_model(name, {**SMALL, **PLAIN[name], "hyper": False}).eval()
    analysis = FlopCountAnalysis(_AtPhi(model), torch.zeros(1, 3, 64, 48))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    by_op = analysis.by_operator()
    # fvcore's flop is one multiply-accumulate.
    seen = sum(by_op.get(op, 0) for op in ("conv", "linear", "matmul", "addmm"))
    assert cost_of(model, (1, 3, 64, 48), PHI).macs == seen > 0
