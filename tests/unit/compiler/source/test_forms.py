"""What int8's ranges are observed on: inputs of the network, as each of its programs takes them."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from edge_pipeline.compiler.source.forms import samples_for
from edge_pipeline.models.network import Port

INPUTS = [(torch.rand(1, 4, 48, 40),), (torch.rand(1, 4, 48, 40),)]
WINDOW = 16


class Greatest(nn.Module):
    """Predicts the greatest value of each channel that it sees."""

    stride, min_size, scale, halo = 1, 1, 1, None
    default_size, free_sizes = (48, 40), True
    inputs = outputs = (Port("packed", 4, "a capture", "packed_bayer_white_balanced"),)

    def predict_filters(self, x):
        return {"layer.weight": x.amax((2, 3))}

    def apply_filters(self, x, filters):
        return x * filters["layer.weight"][:, :, None, None]


def samples(name, network=None):
    return samples_for(SimpleNamespace(name=name), network or Greatest(), INPUTS, WINDOW)


def test_a_predictor_sees_windows():
    found = samples("predict_filters")
    assert len(found) == len(INPUTS)
    for (seen,), (x,) in zip(found, INPUTS, strict=True):
        assert torch.equal(seen, x[:, :, :WINDOW, :WINDOW])
        assert seen.is_contiguous()


def test_a_path_is_given_whole_inputs_and_the_filters_of_their_windows():
    for (whole, weight), (x,) in zip(samples("apply_filters"), INPUTS, strict=True):
        assert torch.equal(whole, x)
        assert torch.equal(weight, x[:, :, :WINDOW, :WINDOW].amax((2, 3)))
        # Which the whole input would have made others.
        assert not torch.equal(weight, x.amax((2, 3)))


@pytest.mark.parametrize("network", [Greatest(), nn.Conv2d(4, 4, 1)])
def test_a_program_that_is_the_network_takes_its_inputs(network):
    assert samples("forward", network) is INPUTS
