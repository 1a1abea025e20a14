"""Calibration sets: files read as inputs of a network, according to its first input's space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from edge_pipeline.artifact.provenance import Calibration, CalibrationFile
from edge_pipeline.compiler.precision.varied import varied_captures
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.errors import InputError
from edge_pipeline.files import packaged, sha256_of
from edge_pipeline.raw.capture import read_capture
from edge_pipeline.raw.cfa import align
from edge_pipeline.raw.image import normalise
from edge_pipeline.raw.windows import windows

__all__ = [
    "CAPTURE_SPACE",
    "aligned_mosaic",
    "bundled_files",
    "listed_files",
    "mask_file",
    "read_mask",
    "read_picture",
    "sample_inputs",
]

# For the space of a first input: the project's folder of files for it, and the pattern of names.
CAPTURE_SPACE = "packed_bayer_white_balanced"
_FOLDERS = {
    CAPTURE_SPACE: ("calibration/captures", "*.dng"),
    "srgb": ("calibration/pictures", "*.jpg"),
}
_MASK = ".mask.png"
# The number of random features, which replace the output of another network.
_DRAWN = 8
# Of the 4 x 4 windows of a capture, every fifth is used: those on the diagonal.
_EVERY = 5


def bundled_files(space: str) -> list[Path]:
    """Return the project's calibration files for a kind of input, sorted by name.

    Args:
        space: Space of the first input, as in the manifest.

    Raises:
        InputError: If there are no such files.
    """
    folder, pattern = _FOLDERS[space]
    found = sorted(packaged(folder).glob(pattern))
    if not found:
        raise InputError(f"{packaged(folder)} contains no {pattern}; give files with --calibration")
    return found


def listed_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the files at the given paths; a folder is replaced by its files except masks.

    Raises:
        InputError: If a path does not exist, or a folder contains no file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"the calibration file {path} does not exist")
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.is_file() and not _is_left_out(p.name))
        if not inside:
            raise InputError(f"the calibration set {path} is empty; put at least one file into it")
        found += inside
    return tuple(found)


def _is_left_out(name: str) -> bool:
    return name.endswith(_MASK) or name.startswith(".")


def sample_inputs(
    geometry: Geometry, size: tuple[int, int], files: Sequence[Path]
) -> tuple[list[tuple[Tensor, ...]], Calibration]:
    """Return inputs for a network, and the record of their origin.

    Args:
        geometry: The network's geometry.
        size: Height and width of the network's first input.
        files: Captures or pictures. If empty, these are `varied_captures` and windows of the
            project's captures for packed Bayer inputs, the project's pictures for sRGB inputs, and
            random values for features.

    Raises:
        InputError: If files are given for a network whose inputs are features, or a file is not a
            picture.
        CaptureError: If a capture cannot be read.
    """
    space = geometry.inputs[0].space
    if space not in _FOLDERS:
        if files:
            raise InputError(
                f"the input {geometry.inputs[0].name} expects {space}, which {files[0]} does not "
                "contain; leave out --calibration"
            )
        method = f"{_DRAWN} draws of a standard normal"
        return list(_drawn(geometry, size)), Calibration.of([], method)
    if space == CAPTURE_SPACE and not files:
        return _varied(geometry, size)
    found = list(files) or bundled_files(space)
    inputs: list[tuple[Tensor, ...]] = []
    for path in found:
        if space == "srgb":
            picture = read_picture(path, geometry.inputs[0].channels, size)
            inputs.append((torch.from_numpy(picture),))
        else:
            inputs += [(torch.from_numpy(w),) for w in _capture_windows(path, geometry, size)]
    listed = [CalibrationFile(name=path.name, sha256=sha256_of(path)) for path in found]
    method = "scaled to" if space == "srgb" else "evenly spread windows of"
    return inputs, Calibration.of(listed, f"{method} {size[0]} x {size[1]}")


def _varied(
    geometry: Geometry, size: tuple[int, int]
) -> tuple[list[tuple[Tensor, ...]], Calibration]:
    """Return synthetic captures, and a few windows of each of the project's captures."""
    inputs: list[tuple[Tensor, ...]] = []
    listed: list[CalibrationFile] = []
    for record, packed in varied_captures(size):
        inputs.append((torch.from_numpy(packed),))
        listed.append(record)
    for path in bundled_files(CAPTURE_SPACE):
        seen = list(_capture_windows(path, geometry, size))[::_EVERY]
        inputs += [(torch.from_numpy(window),) for window in seen]
        listed.append(CalibrationFile(name=path.name, sha256=sha256_of(path)))
    method = (
        f"synthetic captures of {size[0]} x {size[1]}, dark to clipped and clean to noisy, and "
        "windows of the captures that come with the project"
    )
    return inputs, Calibration.of(listed, method)


def aligned_mosaic(path: Path, geometry: Geometry) -> NDArray[np.float32]:
    """Return a capture's mosaic [H, W], aligned as in the ISP and extended for the network.

    Raises:
        CaptureError: If the capture cannot be read.
    """
    capture = read_capture(path)
    mosaic = normalise(capture, capture.wb)
    small = min(mosaic.shape) < 2 * geometry.minimum
    grid = max(geometry.stride, geometry.minimum) if small else geometry.stride
    return align(mosaic, capture.pattern, 2 * grid).mosaic


def _capture_windows(
    path: Path, geometry: Geometry, size: tuple[int, int]
) -> Iterator[NDArray[np.float32]]:
    """Yield windows [1, 4, *size] of a capture; reflection extends small ones and keeps the CFA."""
    mosaic = aligned_mosaic(path, geometry)
    short = [max(0, 2 * needed - given) for needed, given in zip(size, mosaic.shape, strict=True)]
    # NumPy reflects repeatedly if a side is shorter than the padding.
    mosaic = np.pad(mosaic, [(0, amount) for amount in short], mode="reflect")
    yield from windows(mosaic, size, geometry.stride)


def read_picture(path: Path, channels: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a picture [1, channels, *size] in 0..1, scaled to `size`; one channel is its luma.

    Raises:
        InputError: If the file is not a picture, or `channels` is neither 1 nor 3.
    """
    mode = {1: "L", 3: "RGB"}.get(channels)
    if mode is None:
        raise InputError(f"{path} cannot be read with {channels} channels; pictures have 1 or 3")
    values = _scaled(path, mode, size, Image.Resampling.BILINEAR).astype(np.float32) / 255
    # Stacked, since an axis added by indexing has stride 0, which ExecuTorch rejects.
    return np.stack([np.ascontiguousarray(values.transpose(2, 0, 1))])


def _scaled(
    path: Path, mode: str, size: tuple[int, int], filtering: Image.Resampling
) -> NDArray[np.uint8]:
    """Return a picture's bytes [*size, channels], scaled to `size`."""
    try:
        with Image.open(path) as image:
            scaled = image.convert(mode).resize((size[1], size[0]), filtering)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture: {error}") from error
    return np.asarray(scaled, np.uint8).reshape(*size, -1)


def mask_file(path: Path) -> Path | None:
    """Return the mask NAME.mask.png beside a picture; None if there is none."""
    beside = path.with_suffix(_MASK)
    return beside if beside.exists() else None


def read_mask(path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask [*size], which is True for pixels that are not black.

    Raises:
        InputError: If the file is not a picture.
    """
    return _scaled(path, "L", size, Image.Resampling.NEAREST)[..., 0] > 0


def _drawn(geometry: Geometry, size: tuple[int, int]) -> Iterator[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(20240304)
    for _ in range(_DRAWN):
        yield tuple(torch.randn(port.shape(*size), generator=generator) for port in geometry.inputs)
