"""Read a capture: a camera's RAW file with LibRaw, or a headerless file with a camera profile."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import CaptureError, InputError, JobError
from edge_pipeline.fault_log import bug_report
from edge_pipeline.raw.child import run_child
from edge_pipeline.raw.colour import (
    RGBGains,
    camera_to_srgb_matrix,
    d65_gains,
    xyz_to_camera_from_srgb,
)
from edge_pipeline.raw.exif import exif_from_json
from edge_pipeline.raw.headerless import read_headerless
from edge_pipeline.raw.image import (
    Capture,
    CaptureExif,
    check_file,
    grey_world,
    libraw_exposure_ev,
    normalise,
)
from edge_pipeline.raw.levels import Levels
from edge_pipeline.raw.limits import PixelLimits
from edge_pipeline.raw.stored import load

__all__ = [
    "Capture",
    "CaptureExif",
    "grey_world",
    "libraw_exposure_ev",
    "normalise",
    "read_capture",
    "read_headerless",
]

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_READER = "edge_pipeline.raw.reader"
_CANNOT_STORE = 3  # reader.CANNOT_STORE, not imported because `reader` imports rawpy


def read_capture(
    path: Path,
    *,
    timeout_s: float = 60,
    limits: PixelLimits | None = None,
    stop: threading.Event | None = None,
    levels: Levels | None = None,
) -> Capture:
    """Read a Bayer RAW file that LibRaw supports, in a process of its own.

    Args:
        path: Path of the file.
        timeout_s: Seconds after which LibRaw is considered to hang.
        limits: Limits on the size, checked before the pixels are decoded; None for the defaults.
        stop: Event that stops reading.
        levels: Levels to use instead of the file's; None for those of the file.

    Returns:
        The active area, with the data that developing it requires. If the file has no as-shot
        white balance, the camera's daylight balance is used, or else the grey-world balance;
        `notes` says so.

    Raises:
        CaptureError: If the file cannot be read, is damaged, is not a RAW capture or not a Bayer
            one, or is larger than the limit, or if LibRaw crashes or hangs on it.
        JobError: If temporary files cannot be written, or there is not enough memory.
        StoppedError: If `stop` was set.
    """
    path = Path(path)
    limits = limits or PixelLimits()
    check_file(path)
    with _temporary_folder(path) as folder:
        facts = _run_reader(path, folder, timeout_s, limits.allowed(), stop)
        if "too_large" in facts:
            width, height = facts["too_large"]
            limits.check(path, width, height)
            raise limits.too_little_memory(path, width, height)
        if "refused" in facts:
            raise CaptureError(f"{path} {facts['refused']}")
        mosaic = load(folder / "mosaic.npy")
    return _capture(path, mosaic, {**facts, **(levels or Levels()).changed()})


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    try:
        made = tempfile.TemporaryDirectory(prefix="edge-pipeline-")
    except OSError as error:
        raise JobError(
            f"{path} cannot be read without a folder for temporary files: "
            f"{error.strerror or error}; set TMPDIR to a folder that can be written"
        ) from error
    with made as name:
        yield Path(name)


def _run_reader(
    path: Path, folder: Path, timeout_s: float, max_pixels: int, stop: threading.Event | None
) -> dict[str, Any]:
    """Run `reader` in a child process and return the contents of its `facts.json`.

    Raises:
        CaptureError: If the process crashes, hangs or ends without a report.
        JobError: If the capture does not fit into `folder`, or the process cannot start.
    """
    # -P and this path keep the child from importing anything from the current folder.
    paths = [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    command = [sys.executable, "-P", "-m", _READER, str(path.absolute()), str(folder)]
    command.append(str(max_pixels))
    try:
        done = run_child(command, environment, timeout_s=timeout_s, stop=stop)
    except subprocess.TimeoutExpired as error:
        raise CaptureError(
            f"{path} was not read within {timeout_s:g} s; the file is damaged, or the machine is "
            "too busy"
        ) from error
    except OSError as error:
        raise JobError(f"{path}: LibRaw's process cannot start: {error.strerror}") from error
    report = folder / "facts.json"
    if done.returncode == 0 and report.exists():
        facts: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return facts
    if done.returncode == _CANNOT_STORE:
        raise JobError(
            f"{path} was read, but {folder.parent} cannot hold it: {_last_line(done)}; "
            "make room there, or set TMPDIR to another folder"
        )
    raise CaptureError(f"{path} cannot be read, it is probably damaged: {_ending(done)}")


def _ending(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return a clause that describes how the child process failed."""
    if done.returncode < 0:
        try:
            name = signal.Signals(-done.returncode).name
        except ValueError:
            name = f"signal {-done.returncode}"
        return f"LibRaw crashed ({name})"
    if not done.stderr:
        return f"LibRaw's process ended without a result (status {done.returncode})"
    return f"an unexpected error, {bug_report(done.stderr.decode('utf-8', 'replace'))}"


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _capture(path: Path, mosaic: NDArray[np.uint16], facts: dict[str, Any]) -> Capture:
    first, second, third, fourth = facts["black"]
    black = (first, second, third, fourth)
    daylight = _gains(facts["daylight_wb"])
    notes = list(facts["notes"])
    wb = _gains(facts["wb"])
    if wb is None and daylight is not None:
        notes.append("the file has no as-shot white balance; the camera's daylight balance is used")
        wb = daylight
    if wb is None:
        notes.append("the file has no white balance; the picture's mean is assumed to be grey")
        wb = grey_world(mosaic, facts["pattern"], black, facts["white"])
    matrix = None
    try:
        matrix = _matrix(facts["matrix_kind"], facts["matrix"])
    except InputError as error:
        notes.append(f"{error}, so it is ignored")
    if matrix is None:
        notes.append("the camera's colours are not known; they are assumed to be those of sRGB")
    # LibRaw's daylight balance is for D65; a matrix to sRGB says nothing about the balance.
    scaled = facts["matrix_kind"] == "xyz_to_camera"
    return Capture(
        mosaic=mosaic,
        pattern=facts["pattern"],
        black=black,
        white=facts["white"],
        wb=wb,
        daylight_wb=daylight,
        xyz_to_camera=matrix,
        orientation=facts["orientation"],
        exif=exif_from_json(facts["exif"]),
        source=path,
        notes=tuple(notes),
        pixel_aspect=facts["pixel_aspect"],
        d65_wb=d65_gains(matrix) if matrix is not None and scaled else daylight,
    )


def _gains(values: list[float] | None) -> RGBGains | None:
    if values is None or not all(math.isfinite(value) for value in values):
        return None
    red, green, blue = values
    return red, green, blue


def _matrix(kind: str, values: list[list[float]] | None) -> NDArray[np.float64] | None:
    """Return the XYZ-to-camera matrix, from whichever matrix the file has.

    Raises:
        InputError: If the matrix cannot be inverted.
    """
    if values is None:
        return None
    matrix = np.array(values, np.float64)
    if kind == "camera_to_srgb":
        matrix = xyz_to_camera_from_srgb(matrix)
    camera_to_srgb_matrix(matrix)
    return matrix
