"""Hypothesis strategies, named for what they make."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from hypothesis import strategies as st
from torch import Tensor, nn

__all__ = ["Layer", "SmallNetwork", "sizes", "small_networks"]

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": F.relu,
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "gelu": F.gelu,
    "clamp": lambda x: x.clamp(0, 1),
    "sigmoid": torch.sigmoid,
}


@dataclass(frozen=True)
class Layer:
    """A convolution of a small network, and what comes after it."""

    channels: int
    kernel: int
    groups: int
    computed: bool
    reflect: bool
    normalised: bool
    activation: str
    after: str


class SmallNetwork(nn.Module):
    """Convolutions, some with weights computed from the input's mean, as the layers say.

    Its weights keep the maps' variance, so that a fault anywhere shows at the end.
    """

    def __init__(self, layers: tuple[Layer, ...], in_channels: int, seed: int) -> None:
        super().__init__()
        self.layers = layers
        self.in_channels = in_channels
        generator = torch.Generator().manual_seed(seed)
        self.kernels, self.biases = nn.ParameterList(), nn.ParameterList()
        self.predictors, self.norms = nn.ModuleList(), nn.ModuleList()
        n_in = in_channels
        for layer in layers:
            shape = (layer.channels, n_in // layer.groups, layer.kernel, layer.kernel)
            fan = n_in // layer.groups * layer.kernel**2
            self.kernels.append(nn.Parameter(torch.randn(shape, generator=generator) * fan**-0.5))
            self.biases.append(nn.Parameter(torch.randn(layer.channels, generator=generator) * 0.3))
            predictor = nn.Linear(in_channels, self.kernels[-1].numel())
            with torch.no_grad():
                for value, scale in ((predictor.weight, fan**-0.5), (predictor.bias, 0.3)):
                    value.copy_(torch.randn(value.shape, generator=generator) * scale)
            self.predictors.append(predictor)
            norm = nn.BatchNorm2d(layer.channels)
            with torch.no_grad():
                for value in (norm.weight, norm.bias, norm.running_mean):
                    value.copy_(torch.rand(value.shape, generator=generator) + 0.2)
                norm.running_var.copy_(torch.rand(layer.channels, generator=generator) + 0.3)
            self.norms.append(norm)
            n_in = layer.channels

    def forward(self, x: Tensor) -> Tensor:
        """[1, in_channels, H, W] -> [1, channels of the last layer, H', W']."""
        signal = x.mean((2, 3))
        for i, layer in enumerate(self.layers):
            weight = self.kernels[i]
            if layer.computed:
                weight = weight + self.predictors[i](signal).reshape(weight.shape)
            edge = layer.kernel // 2
            if layer.reflect and edge:
                x = F.pad(x, (edge, edge, edge, edge), mode="reflect")
                edge = 0
            x = F.conv2d(x, weight, self.biases[i], padding=edge, groups=layer.groups)
            if layer.normalised:
                x = self.norms[i](x)
            x = ACTIVATIONS[layer.activation](x)
            if layer.after == "pool" and min(x.shape[2:]) >= 8:
                x = F.max_pool2d(x, 2)
            elif layer.after == "up":
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            elif layer.after == "up_aligned":
                size = (x.shape[2] * 2, x.shape[3] * 2)
                x = F.interpolate(x, size=size, mode="bilinear", align_corners=True)
        return x


def sizes(lowest: int = 6, highest: int = 21) -> st.SearchStrategy[tuple[int, int]]:
    """Height and width, odd ones too."""
    return st.tuples(st.integers(lowest, highest), st.integers(lowest, highest))


@st.composite
def small_networks(draw: st.DrawFn, *, computed_groups: bool = False) -> SmallNetwork:
    """Networks of one to three convolutions.

    Args:
        draw: hypothesis gives it.
        computed_groups: whether computed weights may be grouped, which not every backend takes.
    """
    in_channels = draw(st.sampled_from([1, 3, 4, 6]))
    n_in, layers = in_channels, []
    for _ in range(draw(st.integers(1, 3))):
        channels = draw(st.sampled_from([1, 2, 3, 4, 6, 8, 12]))
        computed = draw(st.booleans())
        common = [g for g in (1, 2, 3) if n_in % g == 0 and channels % g == 0]
        groups = 1 if computed and not computed_groups else draw(st.sampled_from(common))
        layers.append(
            Layer(
                channels=channels,
                kernel=draw(st.sampled_from([1, 3, 5])),
                groups=groups,
                computed=computed,
                reflect=draw(st.booleans()),
                normalised=draw(st.booleans()),
                activation=draw(st.sampled_from(sorted(ACTIVATIONS))),
                after=draw(st.sampled_from(["none", "none", "pool", "up", "up_aligned"])),
            )
        )
        n_in = channels
    return SmallNetwork(tuple(layers), in_channels, draw(st.integers(0, 2**16))).eval()
