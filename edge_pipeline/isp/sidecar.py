"""Contents of a sidecar: everything that a picture's pixels depend on, as JSON values."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline import __version__
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.raw.capture import Capture
from edge_pipeline.raw.white_balance import Balance

__all__ = ["SIDECAR_VERSION", "describe", "software"]

SIDECAR_VERSION = 1

_RUNTIMES = ("onnxruntime", "executorch", "ai-edge-litert", "coremltools")
_PACKAGES = ("numpy", *_RUNTIMES, "pillow", "rawpy", "tifffile")


def software() -> str:
    """Return this program's name and version, as they are written into pictures."""
    return f"edge-pipeline {__version__}"


def _versions() -> dict[str, str]:
    versions = {"edge_pipeline": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def describe(
    capture: Capture,
    *,
    artifact: Artifact,
    sha256: str,
    balance: Balance,
    matrix: NDArray[np.float64],
    base_exposure_ev: float,
    corrections: Mapping[str, Any],
    highlights: str,
    choices: Mapping[str, Any],
    picture_size: tuple[int, int],
    timings_ms: Mapping[str, float],
) -> dict[str, Any]:
    """Return the contents of a picture's sidecar.

    Args:
        capture: Capture that was developed.
        artifact: Artifact that was used.
        sha256: Hash of the capture's file.
        balance: White balance that was used.
        matrix: [3, 3], from the network's colours to linear sRGB.
        base_exposure_ev: Stops of light added to the user's exposure.
        corrections: Faults of the sensor and of the lens that were corrected.
        highlights: `clip` or `reconstruct`, as was used.
        choices: The user's settings, by name.
        picture_size: Width and height of the picture.
        timings_ms: Duration of each phase in milliseconds.

    Returns:
        Only finite numbers, texts, lists and dictionaries.
    """
    manifest = artifact.manifest
    height, width = capture.mosaic.shape
    return {
        "sidecar": SIDECAR_VERSION,
        "capture": {
            "file": capture.source.name,
            "sha256": sha256,
            "width": width,
            "height": height,
            "cfa": capture.pattern,
            "orientation": capture.orientation,
            "pixel_aspect": capture.pixel_aspect,
        },
        "model": {
            "name": manifest.card.name,
            "sha256": artifact.digest,
            "network": manifest.source.model,
            "checkpoint_sha256": manifest.source.checkpoint_sha256,
            "backend": manifest.backend,
            "filters": manifest.filters,
            "output_space": manifest.card.output_space,
        },
        "levels": {"black": [float(b) for b in capture.black], "white": float(capture.white)},
        "white_balance": {
            "used": [float(g) for g in balance.gains],
            "as_shot": [float(g) for g in capture.wb],
            # The light that these multipliers make neutral, if the camera's colours are known.
            "kelvin": None if balance.light is None else round(balance.light.kelvin, 1),
            "tint": None if balance.light is None else round(balance.light.tint, 2),
        },
        "colour_matrix": [[float(value) for value in row] for row in matrix],
        "base_exposure_ev": base_exposure_ev,
        "corrections": dict(corrections),
        "highlights": highlights,
        "notes": [*capture.notes, *balance.notes],
        "settings": dict(choices),
        "picture": {"width": picture_size[0], "height": picture_size[1]},
        "timings_ms": dict(timings_ms),
        "versions": _versions(),
    }
