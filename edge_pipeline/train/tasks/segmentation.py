"""The task of a segmenter whose map sizes depend on phi: a label for each pixel of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from edge_pipeline.data.labelled import IGNORED, LabelledPictures, load_labelled
from edge_pipeline.errors import InputError
from edge_pipeline.models.base import parsed_options
from edge_pipeline.train.augment import Augmentation, augmented
from edge_pipeline.train.evaluation import (
    SizedPictures,
    coloured,
    evaluate,
    outputs_for,
    predicted_mask,
)
from edge_pipeline.train.prior import Prior
from edge_pipeline.train.recipe import Recipe, Section
from edge_pipeline.train.segmentation_losses import bootstrapped, cross_entropies, soft_dice_loss
from edge_pipeline.train.task import Share, Validation, check_network

__all__ = [
    "Batch",
    "Loss",
    "SegmentationTask",
    "Settings",
    "check",
    "open_task",
]

_SHOWN = 3

Size = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class Loss(Section):
    """Weights of the loss terms; the default is the paper's cross entropy.

    Attributes:
        cross_entropy: Weight of the cross entropy, with a label for the background.
        share: Share of the pixels of a sample, those with the largest cross entropy, that are
            counted; below 1, this is the bootstrapped cross entropy.
        dice: Weight of one minus the soft Dice score.
    """

    cross_entropy: float = Field(default=1.0, ge=0)
    share: float = Field(default=1.0, gt=0, le=1)
    dice: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.cross_entropy and not self.dice:
            raise ValueError("cross_entropy and dice are both 0; give at least one a weight")
        return self


class Settings(Section):
    """Settings of the task.

    Attributes:
        dataset: Registered name of a labelled data set.
        options: Options of the data set.
        resize: Height and width that pictures and masks are scaled to first; None keeps them.
        crop: Height and width of a training crop.
        augmentation: Random changes of training samples.
        loss: Weights of the loss terms.
        prior: Distribution of phi; one value is drawn for each batch.
        validation_phi: Values of phi at which the network is validated.
    """

    dataset: str
    options: dict[str, Any] = Field(default_factory=dict)
    resize: Size | None = None
    crop: Size = (128, 128)
    augmentation: Augmentation = Augmentation()
    loss: Loss = Loss()
    prior: Prior = Prior()
    validation_phi: tuple[float, ...] = Field(min_length=1)


class Batch(NamedTuple):
    """Samples of one step, and the rescaling factors of all of them.

    Attributes:
        pictures: Pictures [N, C, H, W], 0 to 1.
        masks: Labels [N, H, W], int64; `IGNORED` for pixels without one.
        phi: Rescaling factors [factors], float64.
    """

    pictures: Tensor
    masks: Tensor
    phi: Tensor


def check(recipe: Recipe, settings: Settings, options: Mapping[str, Any]) -> None:
    """Check that the network is a segmenter, trained and validated within its range of phi.

    Raises:
        InputError: If this is not so.
    """
    check_network(recipe, takes="srgb", returns="logits")
    low, high = options["phi_min"], options["phi_max"]
    for field, values in (
        ("prior", (settings.prior.low, settings.prior.high)),
        ("validation_phi", settings.validation_phi),
    ):
        for value in values:
            if not low <= value <= high or value <= 0:
                raise InputError(
                    f"settings.{field}: {value} is outside the network's range of phi, above 0 and "
                    f"{low} to {high}"
                )


def open_task(recipe: Recipe, settings: Settings, world: int) -> SegmentationTask:
    """Find the training and validation pictures of a recipe.

    Raises:
        InputError: If the data set cannot be used, or its labels do not fit the network.
    """
    del world
    training, validation = (
        load_labelled(settings.dataset, split, settings.options) for split in ("train", "val")
    )
    return SegmentationTask(recipe, settings, training, validation)


class SegmentationTask:
    """The task with its data set.

    Args:
        recipe: Recipe whose network, batch size and seed are used.
        settings: Its settings.
        training: Training samples.
        validation: Validation samples.

    Raises:
        InputError: If the network has other channels or labels than the data set.
    """

    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        training: LabelledPictures,
        validation: LabelledPictures,
    ) -> None:
        self._size, self._seed, self._settings = recipe.optimiser.batch, recipe.seed, settings
        options = parsed_options(recipe.model, recipe.options)
        _check_fits(options, training)
        self._factors: int = options.factors
        self._training = SizedPictures(training, settings.resize)
        self._validation = SizedPictures(validation, settings.resize)

    def batch(self, step: int, share: Share) -> Batch:
        """Return this process's crops of a step; phi is the same in all processes."""
        phi = self._settings.prior.draw(np.random.default_rng([self._seed, step]), self._factors)
        samples = [
            # From 1, because NumPy's seeds [a, b] and [a, b, 0] are the same.
            self._sample(np.random.default_rng([self._seed, step, number + 1]))
            for number in range(share.rank, self._size, share.world)
        ]
        pictures, masks = zip(*samples, strict=True)
        return Batch(torch.stack(pictures), torch.stack(masks).long(), torch.from_numpy(phi))

    def _sample(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        settings = self._settings
        read = self._training.read(int(rng.integers(len(self._training))))
        return augmented(*read, settings.crop, settings.augmentation, rng)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the weighted loss of a batch, a mean over its samples."""
        weights = self._settings.loss
        pictures = batch.pictures.contiguous(memory_format=torch.channels_last)
        scores: Tensor = model(pictures, phi_of(batch.phi))
        loss = scores.new_zeros((), dtype=torch.float32)
        if weights.cross_entropy:
            errors = cross_entropies(scores, batch.masks, IGNORED)
            counted = batch.masks != IGNORED
            loss = loss + weights.cross_entropy * bootstrapped(errors, counted, weights.share)
        if weights.dice:
            background = self._training.data.background
            loss = loss + weights.dice * soft_dice_loss(
                scores, batch.masks, IGNORED, background=background
            )
        return loss

    def validate(self, model: nn.Module) -> Validation:
        """Return the metrics for each validated phi; the mean Dice score is the score."""
        metrics: dict[str, float] = {}
        scores = {}
        for phi in self._settings.validation_phi:
            found = evaluate(model, self._validation, phi)
            metrics |= {f"dice_phi_{phi:g}": found.dice, f"miou_phi_{phi:g}": found.iou}
            scores[phi] = found.dice
        return Validation(
            metrics=metrics,
            score=float(np.mean(list(scores.values()))),
            summary="Dice score: " + ", ".join(f"phi {k:g} {v:.3f}" for k, v in scores.items()),
            pictures=self._shown(model),
        )

    def _shown(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the first validation pictures beside their true and predicted masks."""
        shown, data = {}, self._validation.data
        middle = sorted(self._settings.validation_phi)[len(self._settings.validation_phi) // 2]
        for index in range(min(_SHOWN, len(self._validation))):
            picture, mask = self._validation.read(index)
            predicted = predicted_mask(model, picture, middle)
            count = len(data.labels)
            parts = [picture.expand(3, -1, -1), coloured(mask.numpy(), count)]
            parts.append(coloured(predicted, count))
            shown[data.names[index]] = torch.cat(parts, 2)
        return shown

    def card(self) -> dict[str, object]:
        """Return the fields of the model card for a segmenter."""
        data = self._training.data
        return {
            "input_space": "srgb",
            "output_space": "logits",
            "labels": list(data.labels),
            "background": data.background,
            "training_data": [f"{data.name} ({len(data)} pictures; {data.licence})"],
        }


def _check_fits(options: Any, data: LabelledPictures) -> None:
    """Raise InputError if a network has other channels or labels than a data set."""
    possible = {"in_channels": (data.channels,), "out_channels": outputs_for(data)}
    for name, permitted in possible.items():
        found = getattr(options, name)
        if found not in permitted:
            raise InputError(
                f"options.{name}: {found} does not fit the data set {data.name} of "
                f"{data.channels} channels and {len(data.labels)} labels; it must be "
                f"{' or '.join(map(str, permitted))}"
            )


def phi_of(factors: Tensor) -> float | tuple[float, ...]:
    """Return phi as a network takes it: one number, or several."""
    values = tuple(float(factor) for factor in factors)
    return values[0] if len(values) == 1 else values
