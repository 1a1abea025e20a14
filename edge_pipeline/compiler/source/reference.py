"""The reference of a program, a small input and eager's outputs for it, and its cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils.flop_counter import FlopCounterMode

from edge_pipeline.artifact.draft import reference_bytes
from edge_pipeline.compiler.program import run_program
from edge_pipeline.compiler.source.entries import Entry
from edge_pipeline.compiler.source.geometry import Geometry

__all__ = [
    "macs_of",
    "reference_of",
    "synthetic_capture",
    "synthetic_inputs",
    "synthetic_picture",
]


def synthetic_capture(channels: int, height: int, width: int) -> NDArray[np.float32]:
    """Return a packed capture with gradients, edges, fine texture, noise and clipped values.

    Args:
        channels: Number of channels, 4 for Bayer.
        height: Height in packed pixels.
        width: Width in packed pixels.

    Returns:
        Float32 [1, channels, height, width], at most 1, with some values slightly below 0; the same
        for every call.
    """
    rng = np.random.default_rng(20240301)
    y, x = np.mgrid[0:height, 0:width] / 64.0
    exposure = np.ones_like(x)
    exposure[: height // 8] = 0.01  # shadows, where noise falls below black
    exposure[-(height // 8) :] = 2.0  # highlights, where values clip
    planes = []
    for channel in range(channels):
        shading = 0.35 + 0.25 * np.sin(1.3 * x + 0.7 * channel) * np.cos(0.9 * y)
        edges = 0.3 * (np.sin(9 * x + 4 * y + channel) > 0.6)
        texture = 0.05 * np.sin(70 * x) * np.sin(55 * y + channel)
        signal = exposure * (shading + edges + texture)
        noise = np.sqrt(4e-4 * np.maximum(signal, 0) + 0.002**2) * rng.standard_normal(x.shape)
        planes.append(signal + noise)
    # The batch axis is stacked: an axis added by indexing has stride 0, which ExecuTorch rejects.
    packed = np.stack([np.stack(planes)])
    clipped: NDArray[np.float32] = np.minimum(packed, 1.0).astype(np.float32)
    return clipped


def synthetic_picture(channels: int, height: int, width: int) -> NDArray[np.float32]:
    """Return a picture of overlapping blobs and stripes, float32 [1, channels, H, W] in [0, 1]."""
    rng = np.random.default_rng(20240302)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    picture = np.stack([0.3 + 0.2 * np.sin(40 * x + c) * np.cos(9 * y) for c in range(channels)])
    for _ in range(12):
        centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.03, 0.2)
        inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
        picture[:, inside] = rng.uniform(0, 1, (channels, 1))
    noisy = picture + 0.02 * rng.standard_normal(picture.shape)
    return np.stack([noisy]).clip(0, 1).astype(np.float32)


def synthetic_inputs(geometry: Geometry, height: int, width: int) -> tuple[Tensor, ...]:
    """Return an input for every port of a network, by the kind of its values.

    Args:
        geometry: Geometry of the network.
        height: Height of its first input.
        width: Width of its first input.

    Returns:
        One tensor for each port; the same for every call.
    """
    inputs = []
    for number, port in enumerate(geometry.inputs):
        shape = port.shape(height, width)
        if port.space == "packed_bayer_white_balanced":
            value = synthetic_capture(*shape[1:])
        elif port.space in ("srgb", "camera_linear"):
            value = synthetic_picture(*shape[1:])
        else:
            rng = np.random.default_rng([20240303, number])
            value = rng.standard_normal(shape).astype(np.float32)
        inputs.append(torch.from_numpy(value))
    return tuple(inputs)


def reference_of(entry: Entry) -> bytes:
    """Return the reference file of a program: its example and eager's outputs for it."""
    return reference_bytes(
        {role.name: value.numpy() for role, value in zip(entry.inputs, entry.example, strict=True)},
        {role.name: value.numpy() for role, value in zip(entry.outputs, entry.run(), strict=True)},
    )


def macs_of(program: ExportedProgram, inputs: Sequence[Tensor]) -> int:
    """Return the number of multiply-accumulates of convolutions and matrix products.

    Args:
        program: Exported program, before any pass and without unused operators.
        inputs: Inputs as for `run_program`.
    """
    with FlopCounterMode(display=False) as counter:
        run_program(program, inputs)
    return int(counter.get_total_flops()) // 2
