"""Write pictures as JPEG, PNG or 16-bit TIFF with an ICC profile and EXIF, and their sidecars."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import OutputError, PictureExistsError
from edge_pipeline.files import atomic_file
from edge_pipeline.isp.bands import Bands
from edge_pipeline.isp.colour_spaces import SRGB, ColourSpace
from edge_pipeline.isp.encoders import (
    FULL_COLOUR_QUALITY,
    check_size,
    write_jpeg,
    write_png,
    write_tiff,
)
from edge_pipeline.isp.exif import picture_fields
from edge_pipeline.raw.capture import CaptureExif

__all__ = [
    "DEFAULT_QUALITY",
    "FORMATS",
    "FULL_COLOUR_QUALITY",
    "bits_of",
    "format_of",
    "refuse_existing",
    "sidecar_path",
    "write_picture",
]

# Format by extension; pictures in a folder get the first extension of their format.
FORMATS = {".jpg": "jpg", ".png": "png", ".tiff": "tiff", ".jpeg": "jpg", ".tif": "tiff"}

DEFAULT_QUALITY = 95


def format_of(path: Path) -> str:
    """Return `jpg`, `png` or `tiff` by the extension of `path`; its case is ignored.

    Raises:
        OutputError: If the path has another extension, or none.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        said = f"the extension {path.suffix!r}" if path.suffix else "no extension"
        raise OutputError(f"{path} has {said}; expected one of {', '.join(FORMATS)}")
    return FORMATS[suffix]


def bits_of(format_name: str) -> Literal[8, 16]:
    """Return the bits per channel of a format: 16 for TIFF, otherwise 8."""
    return 16 if format_name == "tiff" else 8


def sidecar_path(picture: Path) -> Path:
    """Return the path of a picture's sidecar: the picture's path with `.json` appended."""
    return picture.with_name(picture.name + ".json")


def write_picture(
    path: Path,
    picture: NDArray[np.unsignedinteger[Any]] | Bands,
    *,
    exif: CaptureExif,
    software: str,
    sidecar: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None,
    force: bool,
    quality: int | None = None,
    space: ColourSpace = SRGB,
) -> None:
    """Write a picture and its sidecar, if any; both are complete before either gets its name.

    Args:
        path: Path of the picture; its extension determines the format.
        picture: [H, W, 3], encoded in `space`, upright; uint16 for TIFF, uint8 for the others. Or
            bands of it, which are computed while they are written.
        exif: EXIF data of the capture.
        software: Name and version of the program.
        sidecar: Contents of the JSON file beside the picture, or a function that returns them,
            which is called when the picture is complete; None to write no such file.
        force: Whether existing files may be replaced.
        quality: Quality of a JPEG, 1..100; None for `DEFAULT_QUALITY`. From `FULL_COLOUR_QUALITY`
            on, colours have the full resolution; below, half of it. Other formats ignore it.
        space: Colour space of the picture.

    Raises:
        JobError: If the disk is full or fails.
        OutputError: If a file exists and `force` is false, the format cannot hold the picture, or
            a file cannot be written.
    """
    files = [path] if sidecar is None else [path, sidecar_path(path)]
    for file in files:
        refuse_existing(file, force=force)
    bands = picture if isinstance(picture, Bands) else Bands.of(picture)
    format_name = format_of(path)
    check_size(format_name, bands)
    fields = picture_fields(
        exif, width=bands.width, height=bands.height, software=software, space=space
    )
    with ExitStack() as stack:
        temporary = [stack.enter_context(atomic_file(file)) for file in files]
        if format_name == "jpg":
            write_jpeg(temporary[0], bands, fields, space, quality or DEFAULT_QUALITY)
        elif format_name == "png":
            write_png(temporary[0], bands, fields, space)
        else:
            write_tiff(temporary[0], bands, fields, space)
        if sidecar is not None:
            contents = sidecar() if callable(sidecar) else sidecar
            # Surrogates of a name that is not UTF-8 are written as JSON escapes.
            text = json.dumps(contents, indent=2, ensure_ascii=False, allow_nan=False)
            temporary[1].write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        for file in files:  # another command may have written it meanwhile
            refuse_existing(file, force=force)


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise an error if `path` may not be written.

    Args:
        path: Path of the file to write.
        force: Whether an existing file may be replaced.

    Raises:
        PictureExistsError: If the path exists (even as a broken link) while `force` is false.
        OutputError: If the path is a folder, or is refused by the system.
    """
    try:
        path.lstat()
        is_folder = path.is_dir()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    if is_folder:
        raise OutputError(f"{path} is a folder; give the path of a picture")
    if not force:
        raise PictureExistsError(f"{path} exists; give --force to replace it, or another name")
