"""Int8, the same property for every backend that runs here."""

import importlib.util

import numpy as np
import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
from torch import nn

from tests.compiled import PACKAGES, outputs_of

PLANES = 8


class Unequal(nn.Module):
    """Two output channels whose weights differ in size, and whose values do not.

    Given equal planes x, both give 0.1 x: as 12.7 x - 12.6 x, and as 0.05 x + 0.05 x. With one
    scale for both, a step is 0.1, and 0.05 becomes 0 or 0.1. The planes are more than two, since
    Core ML's quantiser leaves weights of fewer than ten values alone.
    """

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(PLANES, 2, 1, bias=False)
        weight = torch.zeros(2, PLANES)
        weight[:, :2] = torch.tensor([[12.7, -12.6], [0.05, 0.05]])
        self.conv.weight = nn.Parameter(weight[:, :, None, None], requires_grad=False)

    def forward(self, x):
        return self.conv(x)


@pytest.mark.parametrize("backend", sorted(PACKAGES))
def test_weights_have_a_scale_for_each_channel(backend, tmp_path):
    if importlib.util.find_spec(PACKAGES[backend].split(".")[0]) is None:
        pytest.skip(f"the extra {backend} is not installed")
    plane = torch.linspace(0, 1, 96).reshape(1, 1, 8, 12)
    x = plane.repeat(1, PLANES, 1, 1)
    (found,) = outputs_of(
        backend, Unequal().eval(), (x,), tmp_path, precision="int8", samples=[(x,)]
    )
    for channel in (0, 1):
        error = np.abs(found[0, channel] - 0.1 * plane[0, 0].numpy()).max()
        assert error < 0.03, channel
