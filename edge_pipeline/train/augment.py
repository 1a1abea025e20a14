"""Random changes of training pictures and their masks."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator
from torch import Tensor

from edge_pipeline.data.labelled import IGNORED
from edge_pipeline.optional import require
from edge_pipeline.train.recipe import Section

__all__ = ["Augmentation", "augmented"]

Zoom = Annotated[float, Field(ge=0.05, le=20)]


class Augmentation(Section):
    """Random changes of a training sample.

    Attributes:
        zoom: Smallest and largest factor between a picture and its crop, 0.05 to 20; the logarithm
            of the factor is uniform. Below 1, more of the picture is in the crop.
        stretch: Largest ratio between the factors of the two axes.
        flip_horizontal: Whether to mirror half of the samples left to right.
        flip_vertical: Whether to mirror half of the samples top to bottom.
        rotate: Whether to rotate by a random multiple of 90 degrees.
        brightness: Largest change of brightness, as a share.
        contrast: Largest change of contrast, as a share.
        saturation: Largest change of saturation, as a share.
        hue: Largest change of hue, as a share of the colour circle, up to 0.5.
        invert: Share of samples whose pictures are inverted.
    """

    zoom: tuple[Zoom, Zoom] = (1.0, 1.0)
    stretch: float = Field(default=1.0, ge=1, le=4)
    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotate: bool = False
    brightness: float = Field(default=0.0, ge=0, le=1)
    contrast: float = Field(default=0.0, ge=0, le=1)
    saturation: float = Field(default=0.0, ge=0, le=1)
    hue: float = Field(default=0.0, ge=0, le=0.5)
    invert: float = Field(default=0.0, ge=0, le=1)

    @field_validator("zoom")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"the smallest factor {value[0]} exceeds the largest, {value[1]}")
        return value


def augmented(
    picture: Tensor,
    mask: Tensor,
    crop: tuple[int, int],
    how: Augmentation,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Return a random crop of a picture and its mask.

    If the picture is smaller than the crop, it is extended at the bottom and on the right, by black
    pixels without a label.

    Args:
        picture: Picture [C, H, W], 0 to 1.
        mask: Labels [H, W], uint8.
        crop: Height and width of the crop.
        how: Random changes.
        rng: Generator that decides.

    Returns:
        The crop [C, *crop], 0 to 1, and its labels [*crop], uint8.
    """
    F = require("torchvision.transforms.v2.functional", "train", "augmentation")  # noqa: N806
    window = _window((picture.shape[1], picture.shape[2]), crop, how, rng)
    top, left, rows, columns = window
    height, width = picture.shape[1:]
    missing = [0, 0, max(0, columns - width), max(0, rows - height)]
    if any(missing):
        picture, mask = F.pad(picture, missing), F.pad(mask[None], missing, fill=IGNORED)[0]
    picture = F.resized_crop(picture, top, left, rows, columns, list(crop), antialias=True)
    # NEAREST would move the mask by up to half a pixel of the crop.
    nearest = F.InterpolationMode.NEAREST_EXACT
    mask = F.resized_crop(mask[None], top, left, rows, columns, list(crop), nearest)[0]
    if how.rotate:
        # Square crops rotate by any multiple of 90 degrees, others by 180.
        turns = int(rng.integers(4)) if crop[0] == crop[1] else 2 * int(rng.integers(2))
        picture, mask = picture.rot90(turns, (1, 2)), mask.rot90(turns, (0, 1))
    for flips, axis in ((how.flip_horizontal, -1), (how.flip_vertical, -2)):
        if flips and rng.random() < 0.5:
            picture, mask = picture.flip(axis), mask.flip(axis)
    return _recoloured(F, picture, how, rng).clamp(0, 1).contiguous(), mask.contiguous()


def _window(
    size: tuple[int, int], crop: tuple[int, int], how: Augmentation, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw the top, left, height and width of the part of the picture to crop."""
    zoom = math.exp(rng.uniform(math.log(how.zoom[0]), math.log(how.zoom[1])))
    stretch = math.exp(rng.uniform(-0.5, 0.5) * math.log(how.stretch))
    rows = max(1, round(crop[0] / (zoom * stretch)))
    columns = max(1, round(crop[1] / zoom * stretch))
    top = int(rng.integers(max(0, size[0] - rows) + 1))
    left = int(rng.integers(max(0, size[1] - columns) + 1))
    return top, left, rows, columns


def _recoloured(
    F: Any,  # noqa: N803 - the field's name for it
    picture: Tensor,
    how: Augmentation,
    rng: np.random.Generator,
) -> Tensor:
    """Change the colours of a picture [C, H, W] at random."""
    colour = picture.shape[0] == 3
    for change, share in (("brightness", how.brightness), ("contrast", how.contrast)):
        if share:
            picture = getattr(F, f"adjust_{change}")(picture, rng.uniform(1 - share, 1 + share))
    if colour and how.saturation:
        factor = rng.uniform(1 - how.saturation, 1 + how.saturation)
        picture = F.adjust_saturation(picture, factor)
    if colour and how.hue:
        picture = F.adjust_hue(picture, rng.uniform(-how.hue, how.hue))
    return 1 - picture if how.invert and rng.random() < how.invert else picture
