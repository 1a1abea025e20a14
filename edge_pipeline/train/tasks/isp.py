"""The task of an ISP: develop synthetic Bayer captures into linear camera RGB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from edge_pipeline.data.capture_synthesis import synthesise_crops
from edge_pipeline.data.pictures import Mixture, Pictures, load_mixture, load_pictures
from edge_pipeline.data.validation import developed_sample, psnr_by_level
from edge_pipeline.errors import InputError
from edge_pipeline.raw.noise import NOISE_LEVELS
from edge_pipeline.train.losses import coded_error, encode, log_energy, log_mse, ms_ssim
from edge_pipeline.train.recipe import Recipe, Section
from edge_pipeline.train.task import Share, Validation, check_network

__all__ = ["Batch", "IspTask", "LossWeights", "Settings", "check", "loss_of", "open_task"]

# Channels of synthesised captures (packed Bayer) and of their RGB targets.
_CHANNELS = {"in_channels": 4, "out_channels": 3}
# Smallest crop, in packed pixels, for five scales of windows of 11 output pixels.
_LEAST_FOR_MS_SSIM = 88


class DataPart(Section):
    """One data set and its share of the crops."""

    dataset: str
    share: float = Field(default=1.0, gt=0)
    options: dict[str, Any] = Field(default_factory=dict)


class LossWeights(Section):
    """Weights of the loss terms; the defaults are the paper's MSE + (1 - MS-SSIM).

    Attributes:
        mse: Weight of the mean square error in encoded sRGB.
        ms_ssim: Weight of 1 - MS-SSIM in encoded sRGB.
        log_mse: Weight of the logarithm of the mean square error in encoded sRGB.
        log_coded: Weight of the logarithm of the error's energy in the networks' coding.
        alternation: Weight of second differences within that energy.
        phase_mean: Weight of local means by phase of the mosaic within that energy.
        border: Packed pixels along the crop's border that the loss ignores.
    """

    mse: float = Field(default=1.0, ge=0)
    ms_ssim: float = Field(default=1.0, ge=0)
    log_mse: float = Field(default=0.0, ge=0)
    log_coded: float = Field(default=0.0, ge=0)
    alternation: float = Field(default=0.0, ge=0)
    phase_mean: float = Field(default=0.0, ge=0)
    border: int = Field(default=0, ge=0, le=16)


class Settings(Section):
    """Settings of the task.

    Attributes:
        data: Training data sets.
        validation: Data set of validation pictures, which are not used for training.
        crop: Side of a crop in packed pixels; at least 88 plus twice the border if the loss
            includes MS-SSIM.
        shared_filters: Whether the crops of a batch, which belong to one capture, share filters
            predicted from all crops side by side, like the tiles of a developed capture.
        loss: Weights of the loss terms.
    """

    data: tuple[DataPart, ...] = Field(min_length=1)
    validation: DataPart
    crop: int = Field(default=96, ge=32)
    shared_filters: bool = False
    loss: LossWeights = LossWeights()

    @model_validator(mode="after")
    def _large_enough(self) -> Self:
        least = _LEAST_FOR_MS_SSIM + 2 * self.loss.border
        if self.loss.ms_ssim and self.crop < least:
            raise ValueError(f"crop is {self.crop}; MS-SSIM in the loss requires at least {least}")
        return self

    @field_validator("crop")
    @classmethod
    def _multiple_of_16(cls, value: int) -> int:
        if value % 16:
            raise ValueError(f"{value} must be a multiple of 16, the network's stride")
        return value


class Batch(NamedTuple):
    """Crops of one synthetic capture, and their targets.

    Attributes:
        packed: Packed crops of the capture, [N, 4, h, w].
        target: Linear camera RGB of the crops, [N, 3, 2h, 2w].
        camera_to_srgb: Colour matrix [3, 3].
        push: Factor on the picture when the loss is computed, a scalar.
    """

    packed: Tensor
    target: Tensor
    camera_to_srgb: Tensor
    push: Tensor


def check(recipe: Recipe, settings: Settings, options: Mapping[str, Any]) -> None:
    """Check that the recipe's network takes captures and returns pictures.

    Raises:
        InputError: If it has other channels, or none of the network's options states them.
    """
    for name, channels in _CHANNELS.items():
        if options.get(name, channels) != channels:
            raise InputError(
                f"options.{name}: {options[name]} does not fit the synthesised captures; "
                f"it must be {channels}"
            )
    check_network(recipe, takes="packed_bayer_white_balanced", returns="camera_linear")


def open_task(recipe: Recipe, settings: Settings, world: int) -> IspTask:
    """Load the pictures of a recipe.

    Raises:
        InputError: If a data set cannot be used, or several processes would have to share filters.
    """
    if settings.shared_filters and world > 1:
        raise InputError(
            f"shared_filters predicts filters from all crops of a batch in one process, and "
            f"{world} processes are requested; give --devices 1"
        )
    return IspTask(recipe, settings)


class IspTask:
    """The task with its pictures in memory.

    Args:
        recipe: Recipe whose batch size and seed are used.
        settings: Its settings.
    """

    def __init__(self, recipe: Recipe, settings: Settings) -> None:
        self._size, self._seed, self._settings = recipe.optimiser.batch, recipe.seed, settings
        parts = [(part.dataset, part.share, part.options) for part in settings.data]
        self._pictures: Mixture = load_mixture(parts)
        part = settings.validation
        self._validation: Pictures = load_pictures(part.dataset, part.options)

    def batch(self, step: int, share: Share) -> Batch:
        """Return this process's crops of the capture of a step."""
        rng = np.random.default_rng([self._seed, step])
        packed, target, conditions = synthesise_crops(
            self._pictures, count=self._size, size=2 * self._settings.crop, rng=rng
        )
        own = slice(share.rank, None, share.world)
        matrix = torch.from_numpy(conditions.camera_to_srgb).float()
        return Batch(packed[own], target[own], matrix, torch.tensor(conditions.push))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the weighted loss of the developed crops."""
        developed = developed_crops(model, batch.packed, shared=self._settings.shared_filters)
        return loss_of(developed, batch, self._settings.loss)

    def validate(self, model: nn.Module) -> Validation:
        """Return the PSNR by noise level; its mean is the score."""
        device = next(model.parameters()).device
        levels = tuple(NOISE_LEVELS)
        psnr = psnr_by_level(lambda x: model(x.to(device)), self._validation, levels)
        shown = developed_sample(lambda x: model(x.to(device)), self._validation, levels[-1])
        return Validation(
            metrics={f"psnr_srgb_db_{level}": value for level, value in psnr.items()},
            score=float(np.mean(list(psnr.values()))),
            summary="PSNR in dB: " + ", ".join(f"{k} {value:.2f}" for k, value in psnr.items()),
            pictures={f"developed_{levels[-1]}": torch.from_numpy(shown)},
        )

    def card(self) -> dict[str, object]:
        """Return the fields of the model card for the ISP."""
        return {
            "input_space": "packed_bayer_white_balanced",
            "output_space": "camera_linear",
            "training_data": [
                f"{part.name} ({len(part.pictures)} pictures; {part.licence})"
                for part in self._pictures.parts
            ],
            "noise": "variance a x + b^2 on normalised raw, a up to 2.5e-2",
        }


def loss_of(developed: Tensor, batch: Batch, weights: LossWeights) -> Tensor:
    """Return the weighted loss.

    Args:
        developed: Output of the network, linear camera RGB [N, 3, H, W].
        batch: Batch with the network's input and target.
        weights: Weights of the loss terms; the paper's loss is MSE + (1 - MS-SSIM) in encoded sRGB.
    """
    matrix, border = batch.camera_to_srgb * batch.push, 2 * weights.border
    inner = (..., slice(border, -border or None), slice(border, -border or None))
    developed, target = developed[inner], batch.target[inner]
    loss = developed.new_zeros(())
    if weights.mse or weights.ms_ssim or weights.log_mse:
        x, y = encode(developed, matrix), encode(target, matrix)
        loss = loss + weights.mse * (x - y).square().mean()
        if weights.ms_ssim:
            loss = loss + weights.ms_ssim * (1 - ms_ssim(x, y))
        if weights.log_mse:
            loss = loss + weights.log_mse * log_mse(x, y)
    if weights.log_coded:
        energy = log_energy(
            coded_error(developed, target, matrix),
            alternation=weights.alternation,
            phase_mean=weights.phase_mean,
        )
        loss = loss + weights.log_coded * energy
    return loss


def developed_crops(model: nn.Module, packed: Tensor, *, shared: bool) -> Tensor:
    """Return the developed crops; shared filters are predicted from all crops side by side.

    Args:
        model: Network from packed crops to linear camera RGB.
        packed: Packed crops [N, 4, h, w].
        shared: Whether all crops are developed with the same filters.

    Returns:
        Pictures [N, 3, 2h, 2w].
    """
    network: Any = model
    maps = packed.contiguous(memory_format=torch.channels_last)
    pictures: Tensor
    if shared:
        filters = network.predict_filters(torch.cat(tuple(packed), -1)[None])
        pictures = network.apply_filters(maps, filters)
    else:
        pictures = network(maps)
    return pictures
