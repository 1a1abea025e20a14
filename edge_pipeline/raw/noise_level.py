"""Measure the noise of a capture from its flattest blocks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Noise", "measure_noise"]

_BLOCK = 8
_LARGEST_SAMPLE = 1 << 18  # pixels of a colour
_BINS = 24
_LEAST_BLOCKS = 4  # of a bin
_FLATTEST = 0.2  # the quantile of the blocks of a bin
# The quantile of the standard deviations that are measured in blocks of pure noise, as a share of
# the true one; a test measures it.
_QUANTILE_BIAS = 0.88
_CLIPPED = 0.98


class Noise(NamedTuple):
    """Noise of variance slope * x + offset at a signal of x, for one colour.

    Attributes:
        slope: Variance per unit of signal, at least 0.
        offset: Variance without signal, at least 0.
    """

    slope: float
    offset: float


def measure_noise(plane: NDArray[Any], *, black: float = 0.0, scale: float = 1.0) -> Noise:
    """Measure the noise of one colour of a mosaic.

    The mixed second derivative of a plane is free of constants, ramps and straight edges along
    rows or columns; its mean magnitude in a block of 8 x 8 measures the noise there. Blocks are
    sorted by their mean, and the flattest fifth of each range of means gives the noise at that
    signal; slope and offset are fitted to them by least squares. Texture everywhere raises the
    result.

    Args:
        plane: [h, w], pixels of one colour. At most a quarter of a million of them are read, in
            evenly spread rows of blocks.
        black: Value of the plane that is a signal of 0.
        scale: Factor from the plane's values above black to signals, of which 1 is white.

    Returns:
        The noise of the signal; zero if the plane has no whole block, or every block is clipped.

    Source: J. Immerkaer, Fast noise variance estimation, CVIU 64(2), 1996, for the derivative;
        A. Foi et al., Practical Poissonian-Gaussian noise modeling and fitting for single-image
        raw-data, IEEE TIP 17(10), 2008, for the fit over levels.
    """
    means, deviations = _blocks(plane, black, scale)
    usable = (means < _CLIPPED) & (deviations > 0)
    means, deviations = np.maximum(means[usable], 0), deviations[usable]
    if not len(means):
        return Noise(0.0, 0.0)
    bins = np.minimum((np.sqrt(means) * _BINS).astype(np.intp), _BINS - 1)
    levels, variances, weights = [], [], []
    for index in np.unique(bins):
        own = bins == index
        count = int(own.sum())
        if count >= _LEAST_BLOCKS or count == len(means):
            levels.append(float(means[own].mean()))
            flattest = float(np.quantile(deviations[own], _FLATTEST)) / _QUANTILE_BIAS
            variances.append(flattest**2)
            weights.append(count**0.5 / flattest**2)  # relative errors are equal
    if not levels:
        return Noise(0.0, float(np.quantile(deviations, _FLATTEST)) ** 2)
    return _line(np.array(levels), np.array(variances), np.array(weights))


def _blocks(
    plane: NDArray[Any], black: float, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean signals and the noise of blocks, each [N]."""
    side = _BLOCK + 2
    height, width = plane.shape
    down, across = (height - 2) // _BLOCK, (width - 2) // _BLOCK
    if down < 1 or across < 1:
        return np.zeros(0), np.zeros(0)
    rows = min(down, max(1, _LARGEST_SAMPLE // (across * _BLOCK * _BLOCK)))
    tops = np.unique(np.linspace(0, down - 1, rows).astype(np.intp)) * _BLOCK
    lines = tops[:, None] + np.arange(side)
    strips = plane[lines][:, :, : across * _BLOCK + 2].astype(np.float64)
    strips = (strips - black) * scale  # [N, 10, W + 2]
    second = strips[:, :-2] - 2 * strips[:, 1:-1] + strips[:, 2:]
    mixed = second[:, :, :-2] - 2 * second[:, :, 1:-1] + second[:, :, 2:]
    inner = strips[:, 1:-1, 1:-1]
    grid = (len(tops), _BLOCK, across, _BLOCK)
    means = inner.reshape(grid).mean(axis=(1, 3)).ravel()
    # White noise of deviation s has a mean magnitude of 6 s sqrt(2 / pi) after the derivative.
    deviations = np.abs(mixed).reshape(grid).mean(axis=(1, 3)).ravel() * np.sqrt(np.pi / 2) / 6
    return means, deviations


def _line(
    levels: NDArray[np.float64], variances: NDArray[np.float64], weights: NDArray[np.float64]
) -> Noise:
    """Fit slope and offset, each at least 0, by weighted least squares."""
    a = np.stack([levels * weights, weights], axis=1)
    b = variances * weights
    slope, offset = np.linalg.lstsq(a, b, rcond=None)[0]
    if slope < 0 or len(levels) == 1:
        slope, offset = 0.0, float((a[:, 1] @ b) / (a[:, 1] @ a[:, 1]))
    elif offset < 0:
        slope, offset = float((a[:, 0] @ b) / (a[:, 0] @ a[:, 0])), 0.0
    return Noise(float(slope), float(offset))
