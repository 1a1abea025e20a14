import numpy as np
import pytest
import torch

from edge_pipeline.compiler.source import entries
from edge_pipeline.compiler.source.reference import macs_of, synthetic_capture
from edge_pipeline.models.base import build_model
from edge_pipeline.models.cost import cost_of
from tests.programs import network_of

SMALL = {"n_fwd": 4, "n_embed": 2, "n_hid": 4}


def test_the_capture_is_the_same_each_time_and_looks_like_one():
    packed = synthetic_capture(4, 64, 96)
    assert np.array_equal(packed, synthetic_capture(4, 64, 96))
    assert packed.shape == (1, 4, 64, 96)
    assert packed.dtype == np.float32
    assert packed.max() == 1
    assert -0.1 < packed.min() < 0
    assert 0.001 < (packed == 1).mean() < 0.2
    assert (packed < 0).any()
    # The planes differ, so that swapped channels show, and so do turned or mirrored pictures.
    for other in (packed[:, ::-1], packed[..., ::-1], packed[..., ::-1, :]):
        assert np.abs(packed - other).mean() > 0.05
    # ExecuTorch refuses a stride of 0, which an axis made by indexing has.
    assert 0 not in torch.from_numpy(packed).stride()


@pytest.mark.parametrize("head", ["published", "shuffle"])
def test_costs_agree_with_the_count_on_shapes(head):
    model = build_model("hyperconv_unet", {**SMALL, "head": head})
    network = network_of(model, (torch.from_numpy(synthetic_capture(4, 32, 48)),))
    cost = cost_of(model, (1, 4, 32, 48))
    (whole,) = _macs(entries.dynamic(network))
    predicting, path = _macs(*entries.split(network))
    assert whole == cost.macs
    convolutions = {layer.name: layer.macs for layer in cost.layers if layer.part == "path"}
    assert path == sum(convolutions.values())
    # What predicts runs the path as far down as an embedding looks at it, and no further.
    needed = ["hyper_conv0", "hyper_conv1", "hyper_conv1_2", "hyper_conv1_4"]
    assert predicting == whole - path + sum(map(convolutions.get, needed))


def _macs(*forms):
    return [macs_of(form.program, form.example) for form in forms]
