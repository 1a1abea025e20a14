"""Synthesise batches of crops from photographs, each batch as parts of one capture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edge_pipeline.data.conditions import Conditions, Lens, draw_conditions
from edge_pipeline.data.pictures import Mixture
from edge_pipeline.data.raw_synthesis import augment
from edge_pipeline.raw.colour import srgb_decode

__all__ = ["MARGIN", "blurred_and_shifted", "mosaic", "scene", "synthesise_crops"]

# Mosaic pixels around a crop, from which a shift or a blur can read.
MARGIN = 6
_LINEAR = torch.from_numpy(srgb_decode(np.arange(256, dtype=np.float32) / 255).astype(np.float32))
_LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)
# On average, one crop in this many shows a flat colour.
_CROPS_PER_FLAT = 16
# A blur above this deviation also interpolates; otherwise a cubic kernel interpolates.
_INTERPOLATES = 0.45
# (colour, row, column) of the mosaic's planes: R, G on red rows, G on blue rows, B.
_PLANES = ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1))


def synthesise_crops(
    pictures: Mixture, *, count: int, size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Conditions]:
    """Synthesise crops as parts of one capture.

    Args:
        pictures: Photographs to crop.
        count: Number of crops, N.
        size: Side of a crop in mosaic pixels, an even number.
        rng: Random generator; the same state gives the same crops.

    Returns:
        The packed captures [N, 4, size/2, size/2], the clean linear camera RGB [N, 3, size, size]
        that is the target of development, and the conditions of the capture.
    """
    conditions = draw_conditions(rng, count)
    side = size + 2 * MARGIN
    crops = np.stack([augment(pictures.draw(rng), side, rng) for _ in range(count)])
    light = scene(torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))), conditions)
    if rng.random() < count / _CROPS_PER_FLAT:
        light[0] = _flat(side, rng)
    to_camera = np.linalg.inv(conditions.camera_to_srgb) * conditions.exposure
    camera = torch.einsum("oc,nchw->nohw", torch.from_numpy(to_camera).float(), light)
    if conditions.lens is None:
        camera = camera[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
    else:
        camera = blurred_and_shifted(camera, conditions.lens)
    target = camera.clamp(0, 1)
    return mosaic(target, conditions, rng), target, conditions


def scene(pictures: Tensor, conditions: Conditions) -> Tensor:
    """Return the linear light of pictures, with the saturation of the conditions.

    Args:
        pictures: sRGB pictures [N, 3, H, W], uint8.
        conditions: Conditions whose saturation is used.

    Returns:
        Linear light [N, 3, H, W], float32, 0 to 1.
    """
    light = _LINEAR[pictures.long()]
    grey = (light * _LUMINANCE).sum(1, keepdim=True)
    factor = torch.from_numpy(conditions.saturation).view(-1, 1, 1, 1)
    return (grey + factor * (light - grey)).clamp(0, 1)


def _flat(side: int, rng: np.random.Generator) -> Tensor:
    """Return [3, side, side]: a shaded colour, often saturated, sometimes black or above white."""
    colour = rng.random(3) ** rng.choice([1, 2, 0.5])
    colour[rng.integers(3)] *= rng.choice([0, 0.02, 0.2, 1])
    if rng.random() < 0.2:
        colour[:] = rng.choice([0, 1, 1.3])
    ramp = 1 + rng.uniform(0, 0.3) * np.linspace(-1, 1, side)
    picture = colour[:, None, None] * ramp[None, :, None] * np.ones((1, 1, side))
    return torch.from_numpy(picture.astype(np.float32))


def _cubic(distance: Tensor) -> Tensor:
    """Return Keys' cubic convolution kernel with a = -1/2 at the given distances."""
    d = distance.abs()
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((2.5 - 0.5 * d) * d - 4) * d + 2
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros(())))


def blurred_and_shifted(camera: Tensor, lens: Lens) -> Tensor:
    """Apply the shift, magnification and blur of a lens to each colour, and remove the margin.

    Args:
        camera: Linear camera RGB [N, 3, S + 2 * MARGIN, S + 2 * MARGIN].
        lens: Shifts, magnifications and blurs.

    Returns:
        Linear camera RGB [N, 3, S, S], at least 0.
    """
    side = camera.shape[-1]
    blur = torch.from_numpy(lens.blur).view(1, 3, 1, 1)
    inner = torch.arange(MARGIN, side - MARGIN, dtype=torch.float32)
    taps = torch.arange(-MARGIN, MARGIN + 1)
    growth = torch.from_numpy(lens.magnification - 1).view(1, 3, 1) * (inner - side / 2)

    def matrix(axis: int) -> Tensor:
        """Return [N, 3, S, S + 2 * MARGIN], in which each row is the kernel at one position."""
        at = inner + torch.from_numpy(lens.shift[:, :, axis]).unsqueeze(-1) + growth
        places = (at.round().long().unsqueeze(-1) + taps).clamp(0, side - 1)
        distance = places - at.unsqueeze(-1)  # [N, 3, S, taps]
        gaussian = torch.exp(-distance * distance / (2 * blur.clamp(min=0.3) ** 2))
        kernel = torch.where(blur > _INTERPOLATES, gaussian, _cubic(distance))
        kernel = kernel / kernel.sum(-1, keepdim=True)
        return torch.zeros(*at.shape, side).scatter_add_(-1, places, kernel)

    return (matrix(0) @ camera @ matrix(1).transpose(-1, -2)).clamp(min=0)


def mosaic(target: Tensor, conditions: Conditions, rng: np.random.Generator) -> Tensor:
    """Simulate the recording of a picture by the sensor: CFA, noise, defects, clipping, rounding.

    Args:
        target: Clean linear camera RGB [N, 3, H, W] after white balance; H and W are even.
        conditions: Conditions whose gains and sensor are used.
        rng: Random generator.

    Returns:
        Packed RGGB [N, 4, H/2, W/2] after white balance, at most 1.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    sensor = conditions.sensor
    gains = torch.tensor([conditions.gains[colour] for colour, _, _ in _PLANES]).view(1, 4, 1, 1)
    planes = [target[:, colour, row::2, column::2] for colour, row, column in _PLANES]
    raw = torch.stack(planes, 1) / gains.float()
    raw[:, 1] *= sensor.green_imbalance
    a, b = sensor.noise.a, sensor.noise.b
    if a > 0 or b > 0:
        deviation = torch.sqrt(a * raw.clamp(min=0) + b * b)
        raw = raw + deviation * torch.randn(raw.shape, generator=generator)
    if sensor.defects > 0:
        chance = torch.rand(raw.shape, generator=generator)
        hot = 1.2 * torch.rand(raw.shape, generator=generator)
        raw = torch.where(chance < sensor.defects, hot, raw)
        raw = torch.where(chance > 1 - sensor.defects / 2, torch.zeros(()), raw)
    raw = (raw.clamp(max=1) * sensor.levels).round() / sensor.levels
    if sensor.clips_black:
        raw = raw.clamp(min=0)
    return (raw * gains.float()).clamp(max=1)
