"""Where an artifact comes from and what it is worth, as the manifest tells it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field

from edge_pipeline.artifact.schema import Schema, Sha256, Space

__all__ = ["Calibration", "CalibrationFile", "Loss", "ModelCard", "Source"]


class ModelCard(Schema):
    """What the model is for and what its first input's and its output's values mean.

    `noise` says in words which noise the model was trained to remove.
    """

    name: str
    description: str
    input_space: Space = "packed_bayer_white_balanced"
    output_space: Space = "camera_linear"
    training_data: tuple[str, ...]
    licence: str
    noise: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


class Source(Schema):
    """What was compiled: a registered model with all its options, and where its weights are from.

    Weights come from a checkpoint (its SHA-256) or were drawn from `seed`.
    """

    model: str
    options: dict[str, str | int | float | bool]
    checkpoint_sha256: Sha256 | None = None
    seed: int | None = None


class CalibrationFile(Schema):
    """A capture that calibration used: its name, without folder, and the hash of its bytes."""

    name: str
    sha256: Sha256


class Calibration(Schema):
    """A set of files that something was derived from; `method` says in words how.

    `sha256` stands for the set: it is the hash of the files' hashes, in order.
    """

    files: tuple[CalibrationFile, ...]
    method: str = ""
    sha256: Sha256 | None = None

    @classmethod
    def of(cls, files: Iterable[CalibrationFile], method: str) -> Self:
        """The record of `files`, with the set's hash."""
        listed = tuple(files)
        digest = hashlib.sha256("".join(file.sha256 for file in listed).encode()).hexdigest()
        return cls(files=listed, method=method, sha256=digest)


class Loss(Schema):
    """What a compiled form loses in the task's metric.

    `before` is the metric of the network that it was made from – with per-capture prediction for
    `folding`, in fp32 for `precision` – and `after` that of the compiled form, both on the
    validation set `on`. `loss` is before - after, so a positive one is a loss, in `metric`'s unit:
    `psnr_db` against the truth, `dice` and `agreement` from 0 to 1. Where there is no truth the
    metric is `psnr_to_before_db`, `after` against what the network gave, and there is no `before`.
    """

    cause: Literal["folding", "precision"]
    metric: Literal["psnr_db", "dice", "agreement", "psnr_to_before_db"]
    before: float | None
    after: float
    loss: float | None
    on: Calibration
