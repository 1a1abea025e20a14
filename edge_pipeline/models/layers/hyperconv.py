"""HyperConv: a convolution whose filters are predicted from an input, one set per sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

__all__ = ["Filters", "HyperConv", "HyperConvEmbed", "convolve_per_sample"]


class Filters(NamedTuple):
    """The computed weights of one convolution, for a batch of N samples.

    Attributes:
        weight: Filters [N, n_out, n_in_forward, f_size, f_size].
        bias: Biases [N, n_out], -0.1 to 0.1; None without bias.
        gain: Gains [N, n_out], 0.1 to 1.1; None without gain.
    """

    weight: Tensor
    bias: Tensor | None = None
    gain: Tensor | None = None

    def named(self, layer: str) -> dict[str, Tensor]:
        """Return the tensors that are not None as `LAYER.weight`, `LAYER.bias`, `LAYER.gain`."""
        return {
            f"{layer}.{part}": value for part, value in self._asdict().items() if value is not None
        }

    def scaled(self, factor: Tensor) -> Filters:
        """Return filters whose convolution output is scaled by `factor` [N, 1]."""
        bias = None if self.bias is None else self.bias * factor
        return Filters(self.weight * factor[:, :, None, None, None], bias, self.gain)

    @classmethod
    def from_named(cls, layer: str, tensors: Mapping[str, Tensor]) -> Filters:
        """Return the filters of one layer; the inverse of `named`.

        Args:
            layer: Name of the layer.
            tensors: Tensors of this layer, and possibly of others, by name.

        Raises:
            KeyError: If there is no `LAYER.weight`.
        """
        return cls(
            tensors[f"{layer}.weight"],
            tensors.get(f"{layer}.bias"),
            tensors.get(f"{layer}.gain"),
        )


def convolve_per_sample(x: Tensor, filters: Filters) -> Tensor:
    """Convolve every sample with its own filters, padding by reflection to keep the size.

    Args:
        x: Feature maps [N, n_in_forward, H, W], H and W above f_size // 2.
        filters: N sets of filters, one per sample.

    Returns:
        Feature maps [N, n_out, H, W].

    Source: [HyperConvISP], Algorithm 1.
    """
    weight, bias, gain = filters
    n, n_out, n_in, f_size, _ = weight.shape
    pad = f_size // 2
    x = F.pad(x, (pad, pad, pad, pad), mode="reflect")
    # [N, C, H, W] -> [1, N*C, H, W]: one group per sample
    grouped = x.reshape(1, n * n_in, x.shape[2], x.shape[3])
    y = F.conv2d(grouped, weight.reshape(n * n_out, n_in, f_size, f_size), groups=n)
    y = y.reshape(n, n_out, y.shape[2], y.shape[3])
    if bias is not None:
        y = y + bias[:, :, None, None]
    if gain is not None:
        y = y * gain[:, :, None, None]
    return y


class FilterPredictor(nn.Module):
    """A filter predictor: maps a pooled feature vector to the filters of one convolution.

    Args:
        n_in_forward: Number of input channels of the convolution.
        n_in_hyper: Length of the feature vector.
        n_out: Number of output channels of the convolution.
        f_size: Height and width of a filter, an odd number.
        bias: Whether to predict a bias too, clamped to [-0.1, 0.1].
        gain: Whether to predict a gain too, clamped to [0.1, 1.1].
        n_hid: Width of the two hidden layers.
        decompose: If above 0, predict this many rank-one terms and take their mean.
        activation: Activation between the layers.

    Source: [HyperConvISP], section 4.1 and Table 5.
    """

    def __init__(
        self,
        n_in_forward: int,
        n_in_hyper: int,
        n_out: int,
        *,
        f_size: int = 3,
        bias: bool = False,
        gain: bool = False,
        n_hid: int = 256,
        decompose: int = 0,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.shape = (n_out, n_in_forward, f_size, f_size)
        self.decompose = decompose
        taps = f_size * f_size

        def mlp(n_values: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(n_in_hyper, n_hid),
                activation(),
                nn.Linear(n_hid, n_hid),
                activation(),
                nn.Linear(n_hid, n_values),
            )

        if decompose < 1:
            self.outf = mlp(taps * n_in_forward * n_out)
        else:
            self.outf1 = mlp(taps * n_out * decompose)
            self.outf2 = mlp(taps * n_in_forward * decompose)
        self.bias = nn.Linear(n_in_hyper, n_out) if bias else None
        self.gain = nn.Linear(n_in_hyper, n_out) if gain else None
        spread = 0.5 / math.sqrt(n_in_forward * taps / 2)
        self.const_f = nn.Parameter(torch.randn(1, *self.shape) * spread)
        self.norm = math.sqrt(n_in_forward * math.pi) / f_size

    def predict_from(self, features: Tensor) -> Filters:
        """Predict filters.

        Args:
            features: Pooled feature vectors [N, n_in_hyper].

        Returns:
            Filters for N samples. Each predicted kernel is normalised to an L1 norm of 1/2, then
            the constant kernel is added.
        """
        n_out, n_in, f_size, _ = self.shape
        if self.decompose < 1:
            f = self.outf(features)
        else:
            rank = self.decompose
            f1 = self.outf1(features).view(-1, n_out, 1, f_size, f_size, rank)
            f2 = self.outf2(features).view(-1, 1, n_in, f_size, f_size, rank)
            f = (f1 * f2).mean(5)
        f = (f / self.norm).view(-1, *self.shape)  # [N, n_out, n_in_forward, f_size, f_size]
        weight = f / (f.abs().sum((3, 4), keepdim=True) + 1e-12) / 2 + self.const_f
        bias = None if self.bias is None else self.bias(features).clamp(-0.1, 0.1)
        gain = None if self.gain is None else self.gain(features).clamp(-0.9, 0.1) + 1.0
        return Filters(weight, bias, gain)


class HyperConv(FilterPredictor):
    """A convolution with filters predicted from feature maps of another network.

    The arguments are those of FilterPredictor.

    Source: [HyperConvISP], Algorithm 1 and Table 5.
    """

    def predict(self, feature_maps: Tensor) -> Filters:
        """Predict one set of filters per sample from feature maps [N, n_in_hyper, h, w].

        The maps, of any size, are max-pooled over the whole picture. The number of parameters thus
        does not depend on the size, and the predictor costs little compared to the convolution.
        """
        return self.predict_from(feature_maps.amax((2, 3)))

    def forward(self, x: Tensor, feature_maps: Tensor) -> Tensor:
        """Predict the filters of every sample and convolve it with them.

        Args:
            x: Feature maps [N, n_in_forward, H, W].
            feature_maps: Input of the filter predictor [N, n_in_hyper, h, w].

        Returns:
            Feature maps [N, n_out, H, W].
        """
        return convolve_per_sample(x, self.predict(feature_maps))


class HyperConvEmbed(nn.Module):
    """The drop-in HyperConv, which predicts its filters from an embedding of its own input.

    The embedding has 128 output channels, so the pooled vector has 128 values. (The expression in
    the paper's appendix, 128 x n_in_forward, does not match its embedding.)

    Args:
        n_in_forward: Number of input channels.
        n_out: Number of output channels.
        f_size: Height and width of a filter, an odd number.
        bias: Whether to predict a bias too.
        gain: Whether to predict a gain too.
        n_hid: Width of the predictor's hidden layers.

    Source: [HyperConvISP], Table 7 and section 5.4.
    """

    def __init__(
        self,
        n_in_forward: int,
        n_out: int,
        *,
        f_size: int = 3,
        bias: bool = False,
        gain: bool = False,
        n_hid: int = 64,
    ) -> None:
        super().__init__()
        base = 32
        self.embed = nn.Sequential(
            nn.Conv2d(n_in_forward, base, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(base, base * 2, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(base * 2, base * 4, 3, padding=1, stride=2),
        )
        self.predictor = FilterPredictor(
            n_in_forward,
            base * 4,
            n_out,
            f_size=f_size,
            bias=bias,
            gain=gain,
            n_hid=n_hid,
            activation=nn.LeakyReLU,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Predict filters from `x` [N, n_in_forward, H, W] and return its map [N, n_out, H, W]."""
        return convolve_per_sample(x, self.predictor.predict_from(self.embed(x).mean((2, 3))))
