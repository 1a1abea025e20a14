"""Write the capture's EXIF into pictures: camera, lens, exposure, time, and orientation 1."""

from __future__ import annotations

import struct
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin

from edge_pipeline.isp.colour_spaces import SRGB, ColourSpace
from edge_pipeline.raw.capture import CaptureExif

__all__ = [
    "TIFF_EXIF_PLACEHOLDER",
    "add_tiff_exif",
    "ascii_text",
    "base_tags",
    "jpeg_exif",
    "picture_exif",
]

# tifffile refuses to write the pointer to an EXIF directory, so a picture is first written with
# this unassigned tag, which sorts to the same place; add_tiff_exif then renames it.
TIFF_EXIF_PLACEHOLDER = ExifTags.IFD.Exif + 1

# Source: EXIF 2.32, section 4.6.5, ColorSpace: other spaces than sRGB are "uncalibrated".
_IS_SRGB, _IS_OTHER = 1, 0xFFFF
_RECOMMENDED_EXPOSURE_INDEX = 2
_LARGEST_SHORT = 0xFFFF
_ENTRY_BYTES = 12
_INCH = 2
_CENTRED = 1
_Y_CB_CR = b"\x01\x02\x03\x00"


def ascii_text(text: str) -> str:
    """Return `text` as ASCII for EXIF, with `?` for other letters and no control characters."""
    plain = text.encode("ascii", "replace").decode("ascii")
    return "".join(letter for letter in plain if letter.isprintable()).strip()


def _rational(value: float) -> TiffImagePlugin.IFDRational:
    """Return a simple fraction within a millionth of `value`; 0.004 becomes 1/250."""
    limit = 10
    fraction = Fraction(value).limit_denominator(limit)
    while abs(fraction - Fraction(value)) > abs(value) * 1e-6 and limit < 10**6:
        limit *= 10
        fraction = Fraction(value).limit_denominator(limit)
    return TiffImagePlugin.IFDRational(fraction.numerator, fraction.denominator)


def base_tags(exif: CaptureExif, software: str) -> dict[int, Any]:
    """Return the tags of the picture's own directory: camera, Orientation 1 and the program.

    Args:
        exif: EXIF data of the capture.
        software: Name and version of the program.
    """
    tags: dict[int, Any] = {
        ExifTags.Base.Make: ascii_text(exif.make or ""),
        ExifTags.Base.Model: ascii_text(exif.model or ""),
        ExifTags.Base.Orientation: 1,
        ExifTags.Base.Software: ascii_text(software),
    }
    return {tag: value for tag, value in tags.items() if value != ""}


def _time(time: datetime | None) -> str:
    return "" if time is None else time.strftime("%Y:%m:%d %H:%M:%S")


def _photo_tags(exif: CaptureExif, space: ColourSpace) -> dict[int, Any]:
    """Return the tags of the EXIF directory."""
    tags: dict[int, Any] = {
        ExifTags.Base.ExifVersion: b"0232",
        ExifTags.Base.FlashPixVersion: b"0100",
        ExifTags.Base.ColorSpace: _IS_SRGB if space == SRGB else _IS_OTHER,
    }
    for tag, number in (
        (ExifTags.Base.ExposureTime, exif.exposure_s),
        (ExifTags.Base.FNumber, exif.f_number),
        (ExifTags.Base.FocalLength, exif.focal_mm),
    ):
        if number:
            tags[tag] = _rational(number)
    if exif.iso:
        iso = round(exif.iso)
        tags[ExifTags.Base.ISOSpeedRatings] = min(iso, _LARGEST_SHORT)
        if iso > _LARGEST_SHORT:  # Source: EXIF 2.32, section 4.6.5, PhotographicSensitivity
            tags[ExifTags.Base.SensitivityType] = _RECOMMENDED_EXPOSURE_INDEX
            tags[ExifTags.Base.RecommendedExposureIndex] = iso
    if time := _time(exif.time):
        tags[ExifTags.Base.DateTimeOriginal] = time
        tags[ExifTags.Base.DateTimeDigitized] = time
    if lens := ascii_text(exif.lens or ""):
        tags[ExifTags.Base.LensModel] = lens
    return tags


def picture_exif(
    exif: CaptureExif, *, width: int, height: int, software: str, space: ColourSpace = SRGB
) -> Image.Exif:
    """Return the EXIF block for a JPEG or PNG.

    Args:
        exif: EXIF data of the capture.
        width: Width of the upright picture.
        height: Height of the upright picture.
        software: Name and version of the program.
        space: Colour space of the picture.
    """
    block = Image.Exif()
    block.update(base_tags(exif, software))
    photo = block.get_ifd(ExifTags.IFD.Exif)
    photo.update(_photo_tags(exif, space))
    photo[ExifTags.Base.ExifImageWidth] = width
    photo[ExifTags.Base.ExifImageHeight] = height
    return block


def jpeg_exif(
    exif: CaptureExif, *, width: int, height: int, software: str, space: ColourSpace = SRGB
) -> Image.Exif:
    """Return the EXIF block for a JPEG: `picture_exif` with the tags that only JPEG requires.

    Source: EXIF 2.32, table 15, support levels for compressed pictures.
    """
    block = picture_exif(exif, width=width, height=height, software=software, space=space)
    block[ExifTags.Base.XResolution] = block[ExifTags.Base.YResolution] = 72.0
    block[ExifTags.Base.ResolutionUnit] = _INCH
    block[ExifTags.Base.YCbCrPositioning] = _CENTRED
    block.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ComponentsConfiguration] = _Y_CB_CR
    return block


def add_tiff_exif(path: Path, exif: CaptureExif, *, space: ColourSpace = SRGB) -> None:
    """Append an EXIF directory to a little-endian TIFF that has the placeholder tag.

    Args:
        path: Path of the file, which is changed in place.
        exif: EXIF data of the capture.
        space: Colour space of the picture.

    Raises:
        ValueError: If the file has no placeholder tag.
    """
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II\x2a\x00\x08\x00\x00\x00")
    directory.update(_photo_tags(exif, space))
    with path.open("r+b") as file:
        file.seek(4)
        (start,) = struct.unpack("<I", file.read(4))
        file.seek(start)
        (count,) = struct.unpack("<H", file.read(2))
        entries = file.read(count * _ENTRY_BYTES)
        tags = [struct.unpack_from("<H", entries, i * _ENTRY_BYTES)[0] for i in range(count)]
        place = start + 2 + tags.index(TIFF_EXIF_PLACEHOLDER) * _ENTRY_BYTES
        end = file.seek(0, 2)
        file.write(b"\x00" * (end % 2))
        end += end % 2
        file.write(directory.tobytes(end))
        file.seek(place)
        file.write(struct.pack("<HHII", ExifTags.IFD.Exif, 4, 1, end))
