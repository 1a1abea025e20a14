"""Origin and quality of an artifact, as stored in the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field

from edge_pipeline.artifact.schema import Schema, Sha256, Space

__all__ = ["Calibration", "CalibrationFile", "Loss", "ModelCard", "Source"]


class ModelCard(Schema):
    """Description of a model: its purpose, and the meaning of its first input and its output.

    `noise` describes the noise that the model was trained to remove. `labels` are the names of a
    segmenter's labels; if `background` is true, the first one is the background.
    """

    name: str
    description: str
    input_space: Space = "packed_bayer_white_balanced"
    output_space: Space = "camera_linear"
    training_data: tuple[str, ...]
    licence: str
    noise: str | None = None
    labels: tuple[str, ...] | None = None
    background: bool | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


class Source(Schema):
    """The compiled network: a registered network, all its options, and the origin of its weights.

    The weights come from a checkpoint (identified by its SHA-256) or were drawn with `seed`.
    """

    model: str
    options: dict[str, str | int | float | bool]
    checkpoint_sha256: Sha256 | None = None
    seed: int | None = None


class CalibrationFile(Schema):
    """A capture of a calibration set: its file name without folder, and the hash of its bytes."""

    name: str
    sha256: Sha256


class Calibration(Schema):
    """A set of files from which values were derived; `method` describes how.

    `sha256` identifies the set: it is the hash of the files' hashes, in order.
    """

    files: tuple[CalibrationFile, ...]
    method: str = ""
    sha256: Sha256 | None = None

    @classmethod
    def of(cls, files: Iterable[CalibrationFile], method: str) -> Self:
        """Return the record of `files`, with the hash of the set."""
        listed = tuple(files)
        digest = hashlib.sha256("".join(file.sha256 for file in listed).encode()).hexdigest()
        return cls(files=listed, method=method, sha256=digest)


class Loss(Schema):
    """Loss of quality that folding or reduced precision causes, in the task's metric.

    `before` is the metric of the original network (with per-capture prediction for `folding`, in
    fp32 for `precision`), and `after` is the metric of the compiled form, both on the validation
    set `on`. `loss` is before - after, so a positive number is a loss, in the unit of `metric`:
    `psnr_db` against the ground truth, `dice` and `agreement` from 0 to 1. Without a ground truth,
    the metric is `psnr_to_before_db`, the PSNR of the compiled form's output against the original
    network's output, and `before` is None.
    """

    cause: Literal["folding", "precision"]
    metric: Literal["psnr_db", "dice", "agreement", "psnr_to_before_db"]
    before: float | None
    after: float
    loss: float | None
    on: Calibration
