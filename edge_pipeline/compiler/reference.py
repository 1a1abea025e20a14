"""The small input that an artifact carries, and what the network makes of it, eagerly."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from edge_pipeline.artifact.store import reference_bytes
from edge_pipeline.compiler.entries import Entry

__all__ = ["macs_of", "reference_of", "synthetic_capture"]


def synthetic_capture(channels: int, height: int, width: int) -> NDArray[np.float32]:
    """A packed capture with what captures have: gradients, edges, fine texture, noise, clipping.

    Args:
        channels: 4 for Bayer.
        height: packed pixels.
        width: packed pixels.

    Returns:
        float32 [1, channels, height, width], at most 1, some values a little below 0; the same
        at every call.
    """
    rng = np.random.default_rng(20240301)
    y, x = np.mgrid[0:height, 0:width] / 64.0
    exposure = np.ones_like(x)
    exposure[: height // 8] = 0.01  # shadows, where noise goes below black
    exposure[-(height // 8) :] = 2.0  # lights, where values clip
    planes = []
    for channel in range(channels):
        shading = 0.35 + 0.25 * np.sin(1.3 * x + 0.7 * channel) * np.cos(0.9 * y)
        edges = 0.3 * (np.sin(9 * x + 4 * y + channel) > 0.6)
        texture = 0.05 * np.sin(70 * x) * np.sin(55 * y + channel)
        signal = exposure * (shading + edges + texture)
        noise = np.sqrt(4e-4 * np.maximum(signal, 0) + 0.002**2) * rng.standard_normal(x.shape)
        planes.append(signal + noise)
    # The batch is stacked, not indexed in: that would have stride 0, which ExecuTorch refuses.
    packed = np.stack([np.stack(planes)])
    clipped: NDArray[np.float32] = np.minimum(packed, 1.0).astype(np.float32)
    return clipped


def _eager(entry: Entry) -> tuple[Tensor, ...]:
    packed, *filters = entry.example
    with torch.no_grad():
        outputs: tuple[Tensor, ...] = entry.module(packed, filters)
    return outputs


def reference_of(entry: Entry) -> bytes:
    """The reference file of a program: its example and the unlowered network's output."""
    inputs = dict(zip(entry.inputs, (value.numpy() for value in entry.example), strict=True))
    outputs = dict(zip(entry.outputs, (value.numpy() for value in _eager(entry)), strict=True))
    return reference_bytes(inputs, outputs)


def macs_of(entry: Entry) -> int:
    """Multiply-accumulates of convolutions and matrix products, as the network is written."""
    with FlopCounterMode(display=False) as counter:
        _eager(entry)
    return int(counter.get_total_flops()) // 2
