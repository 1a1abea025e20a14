"""Accuracy of a compiled form in the task's metric: PSNR of pictures, Dice of masks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_pipeline.artifact.provenance import Calibration, CalibrationFile, Loss, ModelCard
from edge_pipeline.compiler.precision.like_example import samples_like
from edge_pipeline.compiler.precision.samples import (
    bundled_files,
    mask_file,
    read_mask,
    sample_inputs,
)
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.data.procedural import Options, load
from edge_pipeline.data.validation import psnr_db, validation_sample
from edge_pipeline.files import sha256_of
from edge_pipeline.raw.colour import to_srgb

__all__ = ["Example", "Run", "Trial", "loss_of", "trial_for", "trial_like"]

Array = NDArray[np.float32]
Metric = Literal["psnr_db", "dice", "agreement", "psnr_to_before_db"]
# A function that returns the network's first output for its inputs.
Run = Callable[[tuple[Tensor, ...]], Array]

# Procedural pictures that no recipe trains on, with the noise of a phone in daylight.
_PICTURES, _SEED, _NOISE = 6, 20240305, "low"


@dataclass(frozen=True)
class Example:
    """An input of the network, and how its output is scored.

    Attributes:
        inputs: Inputs of the network, in order.
        score: Function that scores the first output; None if there is no ground truth.
    """

    inputs: tuple[Tensor, ...]
    score: Callable[[Array], float] | None


@dataclass(frozen=True)
class Trial:
    """A validation set with its metric."""

    metric: Metric
    examples: tuple[Example, ...]
    on: Calibration


def trial_for(
    geometry: Geometry,
    card: ModelCard,
    size: tuple[int, int],
    files: Sequence[Path],
    *,
    trained: bool = True,
) -> Trial:
    """Return the validation set for a network.

    Args:
        geometry: The network's geometry.
        card: The network's model card, which states the space of its output.
        size: Height and width of the network's first input.
        files: Captures or pictures to validate on. If empty, these are synthetic captures with
            known ground truth for packed Bayer inputs, the project's pictures with their masks for
            sRGB inputs, and random values for features.
        trained: Whether the network is trained. An untrained network that predicts classes is
            compared with its own output before the change, and not with masks.

    Raises:
        InputError: If a file is not a picture, or the network does not accept such files.
        CaptureError: If a capture cannot be read.
    """
    space = geometry.inputs[0].space
    if space == "packed_bayer_white_balanced" and not files:
        return _synthetic_captures(geometry, card, size)
    if card.output_space == "logits" and trained:
        return _labelled_pictures(geometry, size, files)
    inputs, on = sample_inputs(geometry, size, files)
    return Trial("psnr_to_before_db", tuple(Example(one, None) for one in inputs), on)


def trial_like(example: Sequence[Tensor]) -> Trial:
    """Return a validation set of inputs similar to the user's example, for any types."""
    samples, on = samples_like(example)
    return Trial("psnr_to_before_db", tuple(Example(one, None) for one in samples), on)


def loss_of(cause: Literal["folding", "precision"], trial: Trial, before: Run, after: Run) -> Loss:
    """Return the loss between two runs of a validation set, averaged over its examples.

    Args:
        cause: The change between the two runs.
        trial: The validation set.
        before: Run of the network from which the compiled form was made.
        after: Run of the compiled form.
    """
    first: list[float] = []
    second: list[float] = []
    for example in trial.examples:
        was, found = before(example.inputs), after(example.inputs)
        if trial.metric == "psnr_to_before_db":
            was, found = was.astype(np.float64), found.astype(np.float64)
            span = float(was.max() - was.min()) or 1.0
            second.append(psnr_db(found / span, was / span))
        elif trial.metric == "agreement":
            first.append(1.0)
            second.append(float(np.mean(_classes(was) == _classes(found))))
        elif example.score is not None:
            first.append(example.score(was))
            second.append(example.score(found))
    value = float(np.mean(second))
    start = float(np.mean(first)) if first else None
    loss = None if start is None else start - value
    return Loss(cause=cause, metric=trial.metric, before=start, after=value, loss=loss, on=trial.on)


def _synthetic_captures(geometry: Geometry, card: ModelCard, size: tuple[int, int]) -> Trial:
    """Return captures with known ground truth, made like those of the training's validation."""
    side, margin = 2 * max(32, *size), 2 * geometry.margin
    drawn = load(Options(count=_PICTURES, size=max(64, side), seed=_SEED))
    examples: list[Example] = []
    files: list[CalibrationFile] = []
    for index, (name, picture) in enumerate(zip(drawn.names, drawn.pictures, strict=True)):
        sample = validation_sample(picture, _NOISE, index)
        packed = torch.from_numpy(sample.packed[None, :, : size[0], : size[1]].copy())
        rows, columns = (slice(margin, 2 * length - margin) for length in size)
        target = sample.target[:, rows, columns]
        matrix = sample.camera_to_srgb

        def score(
            output: Array, target: Array = target, matrix: NDArray[np.float32] = matrix
        ) -> float:
            encoded = card.output_space == "srgb"
            got = output[0].clip(0, 1) if encoded else to_srgb(output[0], matrix)
            return psnr_db(got, to_srgb(target, matrix))

        examples.append(Example((packed,), score))
        digest = hashlib.sha256(sample.packed.tobytes()).hexdigest()
        files.append(CalibrationFile(name=f"{name}-{index}", sha256=digest))
    method = (
        f"synthetic captures of procedural pictures, {_NOISE} noise, PSNR in sRGB against the "
        "ground truth"
    )
    return Trial("psnr_db", tuple(examples), Calibration.of(files, method))


def _labelled_pictures(geometry: Geometry, size: tuple[int, int], files: Sequence[Path]) -> Trial:
    """Return pictures scored by masks of one class or, without masks, by agreement."""
    listed = list(files) or bundled_files("srgb")
    inputs, on = sample_inputs(geometry, size, listed)
    masks = [found for found in map(mask_file, listed) if found is not None]
    if geometry.outputs[0].channels > 1 or len(masks) < len(listed):
        method = f"{on.method}; share of pixels with the class that the original network predicts"
        on = Calibration.of(on.files, method)
        return Trial("agreement", tuple(Example(one, None) for one in inputs), on)
    examples = tuple(
        Example(one, _dice_against(read_mask(mask, size)))
        for one, mask in zip(inputs, masks, strict=True)
    )
    marked = [CalibrationFile(name=path.name, sha256=sha256_of(path)) for path in masks]
    both = Calibration.of([*on.files, *marked], f"{on.method}; Dice against the masks")
    return Trial("dice", examples, both)


def _classes(logits: Array) -> NDArray[np.int64]:
    """Return each pixel's class from [1, classes, H, W]; for one class, whether it is present."""
    found = logits.argmax(1) if logits.shape[1] > 1 else (logits[:, 0] > 0)
    return np.asarray(found, np.int64)


def _dice_against(mask: NDArray[np.bool_]) -> Callable[[Array], float]:
    def dice(logits: Array) -> float:
        found = logits[0, 0] > 0
        total = int(found.sum()) + int(mask.sum())
        return 2 * int((found & mask).sum()) / total if total else 1.0

    return dice
