"""Schema of the records of a sweep: the figures of one checkpoint at many rescaling factors phi.

Field names are the JSON keys and contain the units. A figure that was not evaluated is not in the
file: nothing is interpolated between values of phi.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from edge_pipeline.errors import InputError, first_fault
from edge_pipeline.files import atomic_file
from edge_pipeline.record import Latency, Record
from edge_pipeline.select.phi import Phi, factors_of

__all__ = [
    "RECORDS_FILE",
    "LabelScore",
    "Measurement",
    "Point",
    "Scores",
    "Setting",
    "Sweep",
    "read_sweep",
    "sweep_json",
    "write_sweep",
]

RECORDS_FILE = "records.json"
"""Name of the file of records in the folder of a sweep."""

Unit = Annotated[float, Field(ge=0, le=1)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LabelScore(_Schema):
    """Metrics of one label.

    Attributes:
        label: Name of the label.
        dice: Mean Dice score of the pictures in which the label is true or predicted; None if
            there is no such picture.
        dice_std: Standard deviation of these Dice scores; None if there are fewer than two.
        iou: Intersection over union of the pixels of all pictures; None as for `dice`.
        pictures: Number of these pictures.
    """

    label: str
    dice: Unit | None
    dice_std: Annotated[float, Field(ge=0)] | None
    iou: Unit | None
    pictures: NonNegativeInt


class Scores(_Schema):
    """Metrics of all labels.

    Attributes:
        dice: Mean Dice score of the labels without the background.
        iou: Mean intersection over union of the labels without the background.
        labels: Metrics of each label, the background included.
        picture_dice: For each picture, the mean Dice score of the labels without the background
            that are true or predicted in it; None if there is no such label.
    """

    dice: Unit
    iou: Unit
    labels: tuple[LabelScore, ...]
    picture_dice: tuple[Unit | None, ...]

    @property
    def known_dice(self) -> tuple[float, ...]:
        """The Dice scores of the pictures that have one."""
        return tuple(dice for dice in self.picture_dice if dice is not None)

    @property
    def dice_std(self) -> float:
        """Standard deviation of the Dice scores of pictures; 0 if there are fewer than two."""
        return statistics.stdev(self.known_dice) if len(self.known_dice) > 1 else 0.0

    @property
    def dice_low(self) -> float:
        """Lowest Dice score of a picture."""
        return min(self.known_dice)

    @property
    def dice_high(self) -> float:
        """Highest Dice score of a picture."""
        return max(self.known_dice)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.known_dice:
            raise ValueError("picture_dice contains no score")
        return self


class Measurement(_Schema):
    """A compiled artifact of one phi: the size of its programs, and its measurement on a device.

    Attributes:
        artifact_bytes: Size of the model files of all programs, without reference and manifest.
        record: Measurement by the harness, whose `artifact` is relative to the file of records.
    """

    artifact_bytes: PositiveInt
    record: Record

    @property
    def latency(self) -> Latency:
        """Statistics of the times."""
        if self.record.latency is None:
            raise ValueError("the record has no latency")
        return self.record.latency

    @property
    def peak_bytes(self) -> int | None:
        """Peak memory; None if it was not measured."""
        return None if self.record.memory is None else self.record.memory.peak_bytes

    @model_validator(mode="after")
    def _has_times(self) -> Self:
        if self.record.latency is None:
            raise ValueError(f"the record of {self.record.device} has no latency")
        return self

    @property
    def variant(self) -> tuple[str, str, str, int]:
        """Backend, precision, device and threads, which tell the measurements of a phi apart."""
        record = self.record
        return record.backend, record.precision, record.device, record.threads


class Point(_Schema):
    """All figures of one phi.

    Attributes:
        phi: Rescaling factor, or one for each rescaling.
        macs: Multiply-accumulates of the network without its hypernetwork, for one picture.
        activation_bytes: Peak memory of activations; see `models.activation_memory`.
        scores: Metrics on the data set.
        measurements: Measurements of compiled artifacts.
    """

    phi: Phi
    macs: NonNegativeInt
    activation_bytes: PositiveInt
    scores: Scores
    measurements: tuple[Measurement, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        variants = [measurement.variant for measurement in self.measurements]
        if len(set(variants)) != len(variants):
            raise ValueError("two measurements have the same backend, precision, device, threads")
        return self


class Setting(_Schema):
    """What all points of a sweep share.

    Attributes:
        checkpoint: Path of the checkpoint, as the user gave it.
        checkpoint_sha256: SHA-256 of its file.
        model: Registered name of the network.
        phi_range: Lowest and highest phi of the network's training.
        factors: Number of separate rescaling factors; 1 if all rescalings share one.
        dataset: Registered name of the labelled data set, or the name of a folder.
        data_options: Options of the data set.
        split: Split of the data set; `all` for a folder without splits.
        labels: Names of the labels; the index is the value in a mask.
        background: Whether label 0 is the background, which the means leave out.
        pictures: Names of the evaluated pictures.
        resize: Height and width that pictures and masks were scaled to; None if they were not.
        input: Channels, height and width of the input for which cost and memory are counted and
            artifacts are compiled.
    """

    checkpoint: str
    checkpoint_sha256: str
    model: str
    phi_range: tuple[float, float]
    factors: PositiveInt = 1
    dataset: str
    data_options: dict[str, Any]
    split: str
    labels: tuple[str, ...]
    background: bool
    pictures: tuple[str, ...]
    resize: tuple[PositiveInt, PositiveInt] | None
    input: tuple[PositiveInt, PositiveInt, PositiveInt]


class Sweep(_Schema):
    """The evaluated points of one checkpoint on one data set, in the order of phi."""

    schema_version: Literal[1] = 1
    setting: Setting
    points: tuple[Point, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        phis = [factors_of(point.phi) for point in self.points]
        if {len(phi) for phi in phis} - {self.setting.factors}:
            raise ValueError(f"not each point has the setting's {self.setting.factors} factors")
        if phis != sorted(set(phis)):
            raise ValueError("the points are not in the order of phi, or a phi occurs twice")
        expected = len(self.setting.pictures), len(self.setting.labels)
        for point in self.points:
            scores = point.scores
            if (len(scores.picture_dice), len(scores.labels)) != expected:
                raise ValueError(
                    f"the point of phi {point.phi} has scores of {len(scores.picture_dice)} "
                    f"pictures and {len(scores.labels)} labels, not of {expected[0]} and "
                    f"{expected[1]}"
                )
        return self

    def at(self, phi: Phi) -> Point | None:
        """Return the point of phi, or None if phi was not evaluated."""
        return next((point for point in self.points if point.phi == phi), None)

    def with_point(self, point: Point) -> Sweep:
        """Return this sweep with a further point, or with another one for the same phi."""
        others = [other for other in self.points if other.phi != point.phi]
        points = sorted([*others, point], key=lambda each: factors_of(each.phi))
        return Sweep(setting=self.setting, points=tuple(points))

    def with_measurement(self, phi: Phi, measurement: Measurement) -> Sweep:
        """Return this sweep with a measurement, which replaces one of the same variant.

        Raises:
            ValueError: If phi was not evaluated.
        """
        point = self.at(phi)
        if point is None:
            raise ValueError(f"phi {phi} was not evaluated")
        others = (m for m in point.measurements if m.variant != measurement.variant)
        measured = tuple(sorted((*others, measurement), key=lambda each: each.variant))
        return self.with_point(point.model_copy(update={"measurements": measured}))


def sweep_json(sweep: Sweep) -> str:
    """Return a sweep as JSON text, with one line for each point."""
    setting = sweep.setting.model_dump_json()
    points: Sequence[str] = [point.model_dump_json() for point in sweep.points]
    listed = ",\n".join(points)
    return (
        f'{{"schema_version": {sweep.schema_version},\n"setting": {setting},\n'
        f'"points": [\n{listed}\n]}}\n'
    )


def write_sweep(sweep: Sweep, path: Path) -> None:
    """Write a sweep atomically.

    Raises:
        OutputError: If the file cannot be written.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(sweep_json(sweep), encoding="utf-8")


def read_sweep(path: Path) -> Sweep:
    """Read the records of a sweep.

    Args:
        path: The file, or the folder that contains it.

    Raises:
        InputError: If the file cannot be read, or does not contain the records of a sweep.
    """
    file = path / RECORDS_FILE if path.is_dir() else path
    try:
        return Sweep.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(
            f"cannot read {file}: {error.strerror or error}; edge-pipeline pareto writes records"
        ) from error
    except ValidationError as error:
        where, reason = first_fault(error, "the top")
        raise InputError(f"{file} has no records of a sweep: at {where}, {reason}") from error
