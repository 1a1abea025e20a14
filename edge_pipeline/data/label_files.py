"""Reading of pictures and masks, and pairing of the files in two folders by their names."""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from edge_pipeline.data.labelled import Sample
from edge_pipeline.errors import InputError

__all__ = [
    "MASK_SUFFIXES",
    "PICTURE_SUFFIXES",
    "by_stem",
    "paired",
    "read_codes",
    "read_lines",
    "read_rgb",
    "read_table",
]

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
# A format that loses information changes labels, so there is no JPEG, whatever a file's name is.
MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".gif"})
# The errors of Pillow's decoders for damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)
_CODES_16_BITS = 65535
_LOSSY = frozenset({"JPEG", "MPO", "JPEG2000", "WEBP"})


def read_rgb(path: Path, *, upright: bool = False) -> NDArray[np.float32]:
    """Read a picture in colour, grey or with a palette, of 8 or 16 bits; transparency is dropped.

    Pixels are in the order of the file: an EXIF orientation is not applied.

    Args:
        path: File that Pillow reads.
        upright: Whether to refuse a picture with an EXIF orientation, since its mask may have been
            drawn on the turned picture.

    Returns:
        Array [3, H, W], float32, 0 to 1.

    Raises:
        InputError: If the file is missing, is not a picture, or is not upright.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) if upright else 1
            wide = image.mode == "F" or image.mode.startswith("I")
            codes = np.asarray(image if wide else image.convert("RGB"))
    except _DAMAGED as error:
        raise _unreadable(path, error) from error
    if turned != 1:
        raise InputError(
            f"{path} has the EXIF orientation {turned}, with which it is not clear whether its "
            "mask is turned, too; save the picture upright, without this field"
        )
    if wide:  # convert("RGB") would clip 16 bits at 255
        return _wide_grey(codes, path)
    return np.ascontiguousarray(codes.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)


def read_codes(path: Path) -> NDArray[np.integer]:
    """Read the integers of a mask: grey values, or the indices of a palette.

    Args:
        path: File that Pillow reads.

    Returns:
        Array [H, W] of integers.

    Raises:
        InputError: If the file is missing, is not a picture, is in colour, or is in a format that
            loses information, such as JPEG.
    """
    try:
        with Image.open(path) as image:
            kind, codes = image.format, np.asarray(image)
    except _DAMAGED as error:
        raise _unreadable(path, error) from error
    if kind in _LOSSY:
        raise InputError(
            f"mask {path} is a {kind} file, which changes labels; save masks as PNG, TIFF or BMP"
        )
    if codes.dtype == np.bool_:
        codes = codes.astype(np.uint8)
    if codes.ndim == 3:  # grey that was saved as RGB has equal channels; alpha is the last
        grey = codes[..., : 1 if codes.shape[2] < 3 else 3]
        if (grey != grey[..., :1]).any():
            raise InputError(
                f"mask {path} is in colour; save labels as a grey picture or one with a palette"
            )
        codes = grey[..., 0]
    if codes.dtype.kind not in "iu":
        raise InputError(f"mask {path} has values of type {codes.dtype}; labels are integers")
    return codes


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are neither empty nor comments (`#`).

    Raises:
        InputError: If the file is missing or is not text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list {path} is missing or is not a text file") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def read_table(path: Path, columns: int) -> list[list[str]]:
    """Return the columns of a text file, which white space separates.

    Args:
        path: The file.
        columns: Number of the columns that each line needs; a line may have more.

    Raises:
        InputError: If the file is missing, is not text, or a line has too few columns.
    """
    rows = [line.split() for line in read_lines(path)]
    for row in rows:
        if len(row) < columns:
            raise InputError(
                f"the list {path} has the line {' '.join(row)!r}; each line needs {columns} columns"
            )
    return rows


def by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    """Return the files of a folder by their names without suffix, in the order of the names.

    Raises:
        InputError: If the folder does not exist, or two files differ in their suffixes alone.
    """
    if not folder.is_dir():
        raise InputError(f"the folder {folder} is missing")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in found:
            raise InputError(
                f"{found[path.stem]} and {path.name} have the same name; keep one of them"
            )
        found[path.stem] = path
    return found


def paired(pictures: Path, masks: Path) -> list[Sample]:
    """Pair the pictures of a folder with the masks of another one by their names.

    Raises:
        InputError: If a folder does not exist, or a picture or mask has no partner.
    """
    found, labels = by_stem(pictures, PICTURE_SUFFIXES), by_stem(masks, MASK_SUFFIXES)
    for stem, path in found.items():
        if stem not in labels:
            raise InputError(f"the picture {path} has no mask; add {masks / (stem + '.png')}")
    for stem, path in labels.items():
        if stem not in found:
            raise InputError(f"the mask {path} has no picture {stem} in {pictures}")
    return [Sample(stem, path, (labels[stem],)) for stem, path in found.items()]


def _wide_grey(codes: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Convert grey codes of 16 bits to [3, H, W], 0 to 1."""
    if codes.dtype.kind == "f" or codes.min() < 0 or codes.max() > _CODES_16_BITS:
        raise InputError(f"{path} has values of 32 bits; save pictures with 8 or 16 bits a channel")
    grey = codes.astype(np.float32) / np.float32(_CODES_16_BITS)
    return np.repeat(grey[None], 3, axis=0)


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return InputError(f"{path} has more than {limit} pixels; cut it into smaller pictures")
    if not path.is_file():
        return InputError(f"the file {path} is missing")
    return InputError(f"{path} cannot be read as a picture; it is damaged or of another format")
