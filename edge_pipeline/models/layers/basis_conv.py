"""A convolution whose filters are mixtures of learnt filters with computed coefficients."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.models.layers.hyperconv import Filters

__all__ = ["BasisConv", "in_type_of"]

# Initial standard deviation of each learnt variation, relative to that of the constant filters.
_VARIATION = 0.2


def in_type_of(like: Tensor, x: Tensor) -> Tensor:
    """Return `x` in the dtype of `like`, without an operator if it already has this dtype."""
    return x if x.dtype == like.dtype else x.to(like.dtype)


class BasisConv(nn.Module):
    """A convolution with filters W = W_0 + sum over k of c_k W_k, for given coefficients c.

    It contains the last, linear layer of a filter predictor. Unlike HyperConv ([HyperConvISP]), it
    does not normalise predicted kernels, so training starts as with an ordinary convolution.
    The map is padded with zeros and keeps its size.

    Args:
        n_in: Number of input channels.
        n_out: Number of output channels.
        f_size: Height and width of a filter, an odd number.
        n_basis: Number of coefficients.
        scale: Factor on the initial standard deviation of the filters.
    """

    def __init__(
        self, n_in: int, n_out: int, f_size: int = 3, *, n_basis: int, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.shape = (n_out, n_in, f_size, f_size)
        deviation = scale * math.sqrt(2 / (n_in * f_size * f_size))
        self.weight = nn.Parameter(deviation * torch.randn(self.shape))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.weight_basis = nn.Parameter(
            _VARIATION * deviation * torch.randn(n_basis, math.prod(self.shape))
        )
        self.bias_basis = nn.Parameter(torch.zeros(n_basis, n_out))

    def predict(self, coefficients: Tensor) -> Filters:
        """Compute filters.

        Args:
            coefficients: Coefficients of the mixtures, [N, n_basis].

        Returns:
            Filters with weight [N, n_out, n_in, f_size, f_size] and bias [N, n_out].
        """
        varied = (coefficients @ self.weight_basis).view(-1, *self.shape)
        return Filters(self.weight + varied, self.bias + coefficients @ self.bias_basis)

    def forward(self, x: Tensor, filters: Filters) -> Tensor:
        """Convolve every sample with its own filters, or all samples with a single set.

        Args:
            x: Feature maps [N, n_in, H, W].
            filters: N sets of filters, or a single set.

        Returns:
            Feature maps [N, n_out, H, W].
        """
        n_out, n_in, f_size, _ = self.shape
        n, (height, width) = filters.weight.shape[0], x.shape[2:]
        weight = filters.weight.reshape(n * n_out, n_in, f_size, f_size)
        # [N, n_in, H, W] -> [1, N * n_in, H, W]: one group per sample
        grouped = x if n == 1 else x.reshape(1, n * n_in, height, width)
        y = F.conv2d(grouped, weight, padding=f_size // 2, groups=n)
        y = y if n == 1 else y.reshape(n, n_out, height, width)
        if filters.bias is None:
            return y
        # Added separately: Core ML does not support a convolution bias computed at run time.
        return y + in_type_of(y, filters.bias[:, :, None, None])
