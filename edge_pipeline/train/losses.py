"""Losses between developed pictures and targets, in perceptual codings such as sRGB."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from edge_pipeline.models.layers.coding import compress

__all__ = ["coded_error", "encode", "log_energy", "log_mse", "ms_ssim"]

# Weight of each scale of MS-SSIM, fine to coarse. Source: Z. Wang et al., Multi-scale structural
# similarity for image quality assessment, Asilomar 2003, section 3.2.
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
# Corresponds to 50 dB; samples with less error have little weight.
_LEAST_ENERGY = 1e-5


def encode(camera: Tensor, camera_to_srgb: Tensor) -> Tensor:
    """Convert linear camera RGB to encoded sRGB, without clipping, so that gradients do not vanish.

    Args:
        camera: White-balanced linear camera RGB [N, 3, H, W].
        camera_to_srgb: Colour matrix [3, 3].
    """
    linear = _matrixed(camera, camera_to_srgb)
    curve = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curve)


def coded_error(x: Tensor, y: Tensor, camera_to_srgb: Tensor) -> Tensor:
    """Return the difference of two pictures in sRGB's primaries and the networks' coding.

    The coding is nearly as perceptually uniform as the sRGB curve. Unlike that curve, it is smooth
    around black, where noisy pictures have many values, so training starts several times faster.

    Args:
        x: Linear camera RGB [N, 3, H, W].
        y: Linear camera RGB of the same shape.
        camera_to_srgb: Colour matrix [3, 3].
    """
    first, second = (compress(_matrixed(picture, camera_to_srgb)) for picture in (x, y))
    return first - second


def log_energy(error: Tensor, *, alternation: float, phase_mean: float) -> Tensor:
    """Return the mean over samples of ln(energy), in which clean and noisy samples weigh the same.

    Args:
        error: Error [N, 3, H, W]; H and W are multiples of 2 and at least 16.
        alternation: Weight of the error's second differences, which penalise zipper artefacts.
        phase_mean: Weight of the error's means over 8 x 8 cells for each phase of the 2 x 2 grid,
            which penalise wrong colours and grid patterns in flat areas.
    """
    energy = error.square().mean((1, 2, 3))
    if alternation:
        across = 2 * error[..., 1:-1] - error[..., :-2] - error[..., 2:]
        down = 2 * error[..., 1:-1, :] - error[..., :-2, :] - error[..., 2:, :]
        second = across.square().mean((1, 2, 3)) + down.square().mean((1, 2, 3))
        energy = energy + alternation / 16 * second
    if phase_mean:
        means = F.avg_pool2d(F.pixel_unshuffle(error, 2), 8)
        energy = energy + phase_mean * means.square().mean((1, 2, 3))
    return torch.log(energy + _LEAST_ENERGY).mean()


def _matrixed(camera: Tensor, matrix: Tensor) -> Tensor:
    """Return the picture [N, 3, H, W] with its colours multiplied by the matrix [3, 3]."""
    return F.conv2d(camera, matrix[:, :, None, None])


def log_mse(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean over samples of ln(MSE), in which clean and noisy samples weigh the same.

    Args:
        x: Pictures [N, C, H, W].
        y: Pictures of the same shape.
    """
    return torch.log((x - y).square().mean((1, 2, 3)) + 1e-6).mean()


def _blur_matrix(size: int, like: Tensor) -> Tensor:
    """Return [size - 10, size], in which each row is the Gaussian window at one position."""
    offsets = torch.arange(_WINDOW, dtype=like.dtype, device=like.device) - _WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    rows = size - _WINDOW + 1
    matrix = like.new_zeros(rows, size)
    for tap, value in enumerate(window / window.sum()):
        matrix.diagonal(tap)[:rows] = value
    return matrix


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the multi-scale structural similarity (MS-SSIM), averaged over samples.

    The window is applied by multiplication with a banded matrix from either side. On a CPU this
    takes a tenth of the time of the square convolution in torchmetrics; a test checks that the
    results agree.

    Args:
        x: Pictures [N, C, H, W], H and W at least 176, about 0 to 1.
        y: Pictures of the same shape.

    Returns:
        A scalar, at most 1.

    Source: [HyperConvISP], "Training Details"; Z. Wang et al. 2003, equation 7.
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
        # The minimum avoids NaN: the mean can be negative, and the weight is fractional.
        result = result * contrast.mean((1, 2, 3)).clamp(min=1e-4) ** weight
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return result.mean()
