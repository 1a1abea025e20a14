"""Records of sweeps that were never evaluated."""

from __future__ import annotations

from collections.abc import Sequence

from edge_pipeline.record import Latency
from edge_pipeline.select.record import LabelScore, Measurement, Point, Scores, Setting, Sweep
from tests.fakes.records import make_record

__all__ = ["make_measurement", "make_point", "make_setting", "make_sweep"]


def make_setting(**changes: object) -> Setting:
    """A setting of two pictures and two labels."""
    fields = {
        "checkpoint": "runs/a model.safetensors",
        "checkpoint_sha256": "0" * 64,
        "model": "phi_unet_pets",
        "phi_range": (0.0, 1.0),
        "dataset": "nuclei",
        "data_options": {},
        "split": "val",
        "labels": ("background", "nucleus"),
        "background": True,
        "pictures": ("a", "b"),
        "resize": (32, 48),
        "input": (3, 32, 48),
    }
    return Setting(**(fields | changes))


def make_measurement(
    median_ms: float, size: int = 1000, *, backend: str = "onnx", device: str = "host"
) -> Measurement:
    """A measurement with a given median and size of the programs."""
    record = make_record("artifacts/a")
    latency = Latency(**(record.latency.model_dump() | {"median_ms": median_ms}))
    changes = {"latency": latency, "backend": backend, "device": device}
    return Measurement(artifact_bytes=size, record=record.model_copy(update=changes))


def make_point(
    phi: float | tuple[float, ...],
    dice: float,
    macs: int,
    *,
    iou: float | None = None,
    memory: int = 100,
    measurements: Sequence[Measurement] = (),
) -> Point:
    """A point whose two pictures have scores around `dice`."""
    half = min(dice, 1 - dice) / 2
    return Point(
        phi=phi,
        macs=macs,
        activation_bytes=memory,
        scores=Scores(
            dice=dice,
            iou=dice / 2 if iou is None else iou,
            labels=(
                LabelScore(label="background", dice=0.9, dice_std=0.1, iou=0.8, pictures=2),
                LabelScore(label="nucleus", dice=dice, dice_std=None, iou=None, pictures=1),
            ),
            picture_dice=(dice - half, dice + half),
        ),
        measurements=tuple(measurements),
    )


def make_sweep(*points: Point) -> Sweep:
    """A sweep of points, which are put into the order of phi."""
    sweep = Sweep(setting=make_setting())
    for point in points:
        sweep = sweep.with_point(point)
    return sweep
