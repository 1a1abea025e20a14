"""A convolution whose filters are a computed mixture of learnt ones."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.models.layers.hyperconv import Filters

__all__ = ["BasisConv"]

# The share of the constant filters' deviation with which each learnt variation starts.
_VARIATION = 0.1


class BasisConv(nn.Module):
    """A convolution with filters W = W_0 + sum over k of c_k W_k, for given coefficients c.

    It is the last, linear layer of a filter predictor: HyperConv (papers/002) without the
    normalisation of predicted kernels, so that training starts as that of an ordinary convolution.
    The map keeps its size; zeros are assumed beyond its border.

    Args:
        n_in: channels in.
        n_out: channels out.
        f_size: height and width of a filter, odd.
        n_basis: how many coefficients there are.
        scale: factor on the initial deviation of the filters.
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
            coefficients: [N, n_basis].

        Returns:
            Filters with weight [N, n_out, n_in, f_size, f_size] and bias [N, n_out].
        """
        varied = (coefficients @ self.weight_basis).view(-1, *self.shape)
        return Filters(self.weight + varied, self.bias + coefficients @ self.bias_basis)

    def forward(self, x: Tensor, filters: Filters) -> Tensor:
        """Convolve every sample with its own filters, or all samples with a single set.

        Args:
            x: [N, n_in, H, W].
            filters: N sets, or one.

        Returns:
            [N, n_out, H, W].
        """
        n_out, n_in, f_size, _ = self.shape
        bias = torch.zeros(1, n_out) if filters.bias is None else filters.bias
        n, pad = filters.weight.shape[0], f_size // 2
        if n == 1:
            return F.conv2d(x, filters.weight[0], bias[0], padding=pad)
        # [N, n_in, H, W] -> [1, N * n_in, H, W]: one group a sample
        grouped = x.reshape(1, n * n_in, x.shape[2], x.shape[3])
        weight = filters.weight.reshape(n * n_out, n_in, f_size, f_size)
        y = F.conv2d(grouped, weight, bias.flatten(), padding=pad, groups=n)
        return y.reshape(n, n_out, y.shape[2], y.shape[3])
