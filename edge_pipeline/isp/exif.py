"""EXIF of pictures: all fields of the capture, except those that developing makes untrue.

The picture is upright, so its orientation is 1; its size, colour space and program are its own.
Values that the file has in no EXIF field, such as those from LibRaw, are added.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from PIL import ExifTags

from edge_pipeline.isp.colour_spaces import SRGB, ColourSpace
from edge_pipeline.raw.capture import CaptureExif
from edge_pipeline.raw.exif_fields import (
    EXIF_POINTER,
    GPS_POINTER,
    ExifFields,
    Field,
    pack_directory,
)

__all__ = ["add_to_tiff", "ascii_text", "jpeg_fields", "picture_fields"]

_TAGS = ExifTags.Base
_ASCII, _SHORT, _LONG, _FRACTION, _BYTES, _UTF8 = 2, 3, 4, 5, 7, 129
# Source: EXIF 2.32, section 4.6.5, ColorSpace: other spaces than sRGB are "uncalibrated".
_IS_SRGB, _IS_OTHER = 1, 0xFFFF
_RECOMMENDED_EXPOSURE_INDEX = 2
_LARGEST_SHORT = 0xFFFF
_LONGEST_TEXT = 500  # a damaged file may state a name that a JPEG cannot hold
_ENTRY_BYTES = 12
_INCH = 2
_CENTRED = 1
_Y_CB_CR = b"\x01\x02\x03\x00"


def ascii_text(text: str) -> str:
    """Return `text` as ASCII for EXIF, with `?` for other letters and no control characters."""
    plain = text.encode("ascii", "replace").decode("ascii")
    return "".join(letter for letter in plain if letter.isprintable()).strip()


def _text(text: str) -> Field:
    data = ascii_text(text)[:_LONGEST_TEXT].encode("ascii") + b"\0"
    return Field(_ASCII, len(data), data)


def _short(value: int) -> Field:
    return Field(_SHORT, 1, struct.pack("<H", value))


def _long(value: int) -> Field:
    return Field(_LONG, 1, struct.pack("<I", value))


def _bytes(value: bytes) -> Field:
    return Field(_BYTES, len(value), value)


def _fraction(value: float) -> Field:
    """Return a simple fraction within a millionth of `value`; 0.004 becomes 1/250."""
    limit = 10
    fraction = Fraction(value).limit_denominator(limit)
    while abs(fraction - Fraction(value)) > abs(value) * 1e-6 and limit < 10**6:
        limit *= 10
        fraction = Fraction(value).limit_denominator(limit)
    return Field(_FRACTION, 1, struct.pack("<2I", fraction.numerator, fraction.denominator))


# Numbers that are never 0 in a real exposure.
_NEVER_ZERO = (_TAGS.ExposureTime, _TAGS.FNumber, _TAGS.FocalLength, _TAGS.ISOSpeedRatings)


def _is_blank(tag: int, field: Field) -> bool:
    """Return whether a field says that its value is not known.

    Text is blank, a time has no digits, or a number that cannot be zero is zero.
    """
    if tag in _NEVER_ZERO:
        return not any(field.data[:4] if field.kind == _FRACTION else field.data)
    return field.kind in (_ASCII, _UTF8) and not field.data.strip(b" :\0")


def _known_values(exif: CaptureExif) -> dict[int, Field]:
    """Return the fields of the EXIF directory for the values of `exif` that are known."""
    known: dict[int, Field] = {}
    for tag, number in (
        (_TAGS.ExposureTime, exif.exposure_s),
        (_TAGS.FNumber, exif.f_number),
        (_TAGS.FocalLength, exif.focal_mm),
    ):
        if number:
            known[tag] = _fraction(number)
    if exif.iso:
        iso = round(exif.iso)
        known[_TAGS.ISOSpeedRatings] = _short(min(iso, _LARGEST_SHORT))
        if iso > _LARGEST_SHORT:  # Source: EXIF 2.32, section 4.6.5, PhotographicSensitivity
            known[_TAGS.SensitivityType] = _short(_RECOMMENDED_EXPOSURE_INDEX)
            known[_TAGS.RecommendedExposureIndex] = _long(iso)
    if exif.time:
        time = _text(exif.time.strftime("%Y:%m:%d %H:%M:%S"))
        known[_TAGS.DateTimeOriginal] = known[_TAGS.DateTimeDigitized] = time
    if ascii_text(exif.lens or ""):
        known[_TAGS.LensModel] = _text(exif.lens or "")
    return known


def _completed(fields: Mapping[int, Field], known: Mapping[int, Field]) -> dict[int, Field]:
    """Return the fields of the file that are not blank, and known values for absent tags."""
    return {**known, **{tag: f for tag, f in fields.items() if not _is_blank(tag, f)}}


def picture_fields(
    exif: CaptureExif, *, width: int, height: int, software: str, space: ColourSpace = SRGB
) -> ExifFields:
    """Return the EXIF fields of a picture.

    Args:
        exif: EXIF data of the capture.
        width: Width of the upright picture.
        height: Height of the upright picture.
        software: Name and version of the program.
        space: Colour space of the picture.
    """
    camera = {_TAGS.Make: exif.make, _TAGS.Model: exif.model}
    known = {
        int(tag): _text(name) for tag, name in camera.items() if ascii_text(name or "") and name
    }
    main = _completed(exif.fields.main, known)
    main |= {_TAGS.Orientation: _short(1), _TAGS.Software: _text(software)}
    photo = _completed(exif.fields.photo, _known_values(exif))
    every = (*main.values(), *photo.values(), *exif.fields.gps.values())
    version = b"0300" if any(field.kind == _UTF8 for field in every) else b"0232"
    photo |= {
        _TAGS.ExifVersion: _bytes(version),
        _TAGS.FlashPixVersion: _bytes(b"0100"),
        _TAGS.ColorSpace: _short(_IS_SRGB if space == SRGB else _IS_OTHER),
        _TAGS.ExifImageWidth: _long(width),
        _TAGS.ExifImageHeight: _long(height),
    }
    return ExifFields(main, photo, exif.fields.gps)


def jpeg_fields(fields: ExifFields) -> ExifFields:
    """Return the fields of a JPEG: those of the picture, and those that only JPEG requires.

    Source: EXIF 2.32, table 15, support levels for compressed pictures.
    """
    dots = Field(_FRACTION, 1, struct.pack("<2I", 72, 1))
    main = {
        **fields.main,
        _TAGS.XResolution: dots,
        _TAGS.YResolution: dots,
        _TAGS.ResolutionUnit: _short(_INCH),
        _TAGS.YCbCrPositioning: _short(_CENTRED),
    }
    photo = {**fields.photo, _TAGS.ComponentsConfiguration: _bytes(_Y_CB_CR)}
    return ExifFields(main, photo, fields.gps)


def add_to_tiff(path: Path, fields: ExifFields) -> None:
    """Add EXIF fields to a little-endian TIFF of one picture.

    A copy of its directory, with the new fields, is appended and becomes the first directory.
    tifffile itself refuses to write a pointer to an EXIF directory.

    Args:
        path: Path of the file, which is changed in place.
        fields: Fields to add; they replace those of the same tag.
    """
    # A TIFF states its size in its own tags.
    sizes = (_TAGS.ExifImageWidth, _TAGS.ExifImageHeight)
    photo = {tag: field for tag, field in fields.photo.items() if tag not in sizes}
    main = dict(fields.main)
    with path.open("r+b") as file:
        file.seek(4)
        (start,) = struct.unpack("<I", file.read(4))
        file.seek(start)
        (count,) = struct.unpack("<H", file.read(2))
        table = file.read(count * _ENTRY_BYTES)
        entries = [table[at : at + _ENTRY_BYTES] for at in range(0, len(table), _ENTRY_BYTES)]
        ready = {struct.unpack_from("<H", entry)[0]: entry for entry in entries}
        end = file.seek(0, 2)
        file.write(bytes(end % 2))
        for pointer, group in ((EXIF_POINTER, photo), (GPS_POINTER, fields.gps)):
            if group:
                at = file.tell()
                main[pointer] = _long(at)
                file.write(pack_directory(group, at))
        at = file.tell()
        file.write(pack_directory(main, at, ready))
        file.seek(4)
        file.write(struct.pack("<I", at))
