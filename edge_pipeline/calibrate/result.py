"""The result of a calibration, and the fit of an existing one anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_pipeline.calibrate.fitting import fitted
from edge_pipeline.calibrate.writing import write_profile
from edge_pipeline.compiler.lowering.cost_model import BackendCosts, load_costs
from edge_pipeline.device_profile import Peaks, load_profile
from edge_pipeline.errors import InputError

__all__ = ["Result", "refit"]


@dataclass(frozen=True)
class Result:
    """A finished calibration.

    Attributes:
        models: Fitted model of each backend.
        peaks: Peak speed; None for an emulated device.
        samples: Number of samples.
        refused: Sentence on each algorithm that could not be measured.
    """

    models: dict[str, BackendCosts]
    peaks: Peaks | None
    samples: int
    refused: tuple[str, ...] = ()


def refit(path: Path) -> Result:
    """Fit the models of a profile anew to its samples, and write them.

    Args:
        path: File of the profile.

    Raises:
        InputError: If the profile or its costs cannot be read.
    """
    profile, old = load_profile(str(path)), load_costs(str(path))
    least = old.least_per_gflop
    if least is None:
        if profile.peaks is None:
            raise InputError(f"{path} has neither a peak speed nor the least cost of a GFLOP")
        least = 1e3 / profile.peaks.gflops
    if not old.samples:
        raise InputError(f"the costs of {path} have no samples to which models could be fitted")
    models = {
        name: fitted([s for s in old.samples if s.backend == name], least, model.tools)
        for name, model in old.backends.items()
    }
    write_profile(path, None, old.model_copy(update={"backends": models}))
    return Result(models, profile.peaks, len(old.samples))
