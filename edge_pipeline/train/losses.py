"""Losses on developed pictures, in encoded sRGB, where the eye and the metrics judge them."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

__all__ = ["encode", "log_mse", "ms_ssim"]

# Weight of each scale, fine to coarse. Source: Z. Wang et al., Multi-scale structural similarity
# for image quality assessment, Asilomar 2003, section 3.2.
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def encode(camera: Tensor, camera_to_srgb: Tensor) -> Tensor:
    """Linear camera RGB to sRGB; values outside 0..1 go on smoothly, so that they are learnt from.

    Args:
        camera: [N, 3, H, W], white-balanced.
        camera_to_srgb: [N, 3, 3].
    """
    linear = torch.einsum("noc,nchw->nohw", camera_to_srgb, camera)
    curve = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curve)


def log_mse(x: Tensor, y: Tensor) -> Tensor:
    """The mean over samples of ln(MSE): clean and noisy samples then weigh alike, as in a PSNR.

    Args:
        x: [N, C, H, W].
        y: the same shape.
    """
    return torch.log((x - y).square().mean((1, 2, 3)) + 1e-6).mean()


def _blur_matrix(size: int, like: Tensor) -> Tensor:
    """[size - 10, size]: each row is the Gaussian window at one place."""
    offsets = torch.arange(_WINDOW, dtype=like.dtype, device=like.device) - _WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    rows = size - _WINDOW + 1
    matrix = like.new_zeros(rows, size)
    for tap, value in enumerate(window / window.sum()):
        matrix.diagonal(tap)[:rows] = value
    return matrix


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Multi-scale structural similarity, mean over samples.

    The window is applied by a banded matrix from either side, which on a CPU takes a tenth of the
    time of the square convolution in torchmetrics; a test holds both to the same result.

    Args:
        x: [N, C, H, W], H and W at least 176, about 0..1.
        y: the same shape.

    Returns:
        A scalar, at most 1.

    Source: papers/002, "Training Details"; Wang et al. 2003, equation 7.
    """
    result = x.new_ones(x.shape[0])
    for scale, weight in enumerate(_SCALES):
        down, across = _blur_matrix(x.shape[2], x), _blur_matrix(x.shape[3], x)
        # [5N, C, H, W] -> [5N, C, H - 10, W - 10]
        moments = down @ torch.cat([x, y, x * x, y * y, x * y]) @ across.T
        mean_x, mean_y, xx, yy, xy = moments.chunk(5)
        contrast = (2 * (xy - mean_x * mean_y) + _C2) / (xx - mean_x**2 + yy - mean_y**2 + _C2)
        if scale == len(_SCALES) - 1:
            contrast = contrast * (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
        # A small positive floor: the power of a negative number is not a number.
        result = result * contrast.mean((1, 2, 3)).clamp(min=1e-4) ** weight
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return result.mean()
