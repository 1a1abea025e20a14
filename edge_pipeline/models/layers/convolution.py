"""Convolutions that keep the size of their maps."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.models.layers.hypernetwork import SLOPE, initialise

__all__ = ["SLOPE", "PaddedConv", "ReflectConv"]


class ReflectConv(nn.Conv2d):
    """A convolution that pads by reflection and keeps height and width.

    Args:
        n_in: Number of input channels.
        n_out: Number of output channels.
        f_size: Height and width of a filter, an odd number.

    Source: [HyperConvISP], section 5.2 ("no HC" of Table 1).
    """

    def __init__(self, n_in: int, n_out: int, f_size: int = 3) -> None:
        super().__init__(n_in, n_out, f_size)

    def forward(self, x: Tensor, feature_maps: Tensor | None = None) -> Tensor:
        """Convolve a batch of maps.

        Args:
            x: Feature maps [N, n_in, H, W].
            feature_maps: Ignored; present for compatibility with HyperConv.

        Returns:
            Feature maps [N, n_out, H, W].
        """
        pad = self.kernel_size[0] // 2
        return super().forward(F.pad(x, (pad, pad, pad, pad), mode="reflect"))


class PaddedConv(nn.Conv2d):
    """A convolution that pads with zeros and keeps height and width.

    Fresh weights are drawn by Kaiming's method with `fan_out`, for a LeakyReLU that follows.

    Args:
        n_in: Number of input channels.
        n_out: Number of output channels.
        f_size: Height and width of a filter, an odd number.
    """

    def __init__(self, n_in: int, n_out: int, f_size: int = 3) -> None:
        super().__init__(n_in, n_out, f_size, padding=f_size // 2)

    def reset_parameters(self) -> None:
        """Draw fresh weights from torch's generator; biases are zero."""
        initialise(self.weight, slope=SLOPE)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
