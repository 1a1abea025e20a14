"""Camera, lens and exposure of a RAW file, from its own tags or else from LibRaw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from edge_pipeline.raw.exif_fields import ExifFields, fields_from_json, fields_to_json
from edge_pipeline.raw.image import CaptureExif
from edge_pipeline.raw.tiff import Directory

__all__ = ["exif_from_json", "exif_to_json", "read_exif"]

_MAKE, _MODEL, _DATE = 271, 272, 306
_EXPOSURE, _F_NUMBER, _ISO, _DATE_ORIGINAL, _FOCAL = 33434, 33437, 34855, 36867, 37386
_RECOMMENDED_INDEX, _LENS_MODEL = 34866, 42036
_ISO_IN_ANOTHER_TAG = 65535
# EXIF stores these numbers in 32 bits.
_LARGEST = 2**32 - 1
_SIMPLE = ("make", "model", "lens", "exposure_s", "f_number", "focal_mm", "iso")
_DATE_FORMAT = "%Y:%m:%d %H:%M:%S"


def _text(directories: Iterable[Directory], tag: int) -> str | None:
    return next((text for d in directories if (text := d.text(tag))), None)


def _number(directories: Iterable[Directory], tag: int, fallback: float | None) -> float | None:
    """Return the tag's first number, or the fallback if absent; None unless EXIF can store it."""
    value = fallback or 0.0
    for directory in directories:
        numbers = directory.numbers(tag)
        if numbers:
            value = float(numbers[0])
            break
    return value if math.isfinite(value) and 0 < value <= _LARGEST else None


def _time(text: str | None, fallback: datetime | None) -> datetime | None:
    """Parse a time tag; return the fallback for the zeros or blanks of a clock that is not set."""
    try:
        return datetime.strptime((text or "")[:19], _DATE_FORMAT)
    except ValueError:
        return fallback


def read_exif(
    directories: list[Directory], fallback: CaptureExif, fields: ExifFields | None = None
) -> CaptureExif:
    """Return the EXIF fields of a file's tags; a tag with the value zero counts as not known.

    Args:
        directories: Directories of the file, from `tiff.read_directories`.
        fallback: Values from LibRaw, for the fields that have no tag.
        fields: The EXIF fields of the file, from `exif_fields.read_fields`.
    """
    ordered = sorted(directories, key=lambda directory: not directory.is_exif)
    iso = _number(ordered, _ISO, fallback.iso)
    if iso == _ISO_IN_ANOTHER_TAG:  # Exif 2.3: the value is too large for this tag
        iso = _number(ordered, _RECOMMENDED_INDEX, fallback.iso)
    return CaptureExif(
        make=_text(ordered, _MAKE) or fallback.make,
        model=_text(ordered, _MODEL) or fallback.model,
        lens=_text(ordered, _LENS_MODEL) or fallback.lens,
        exposure_s=_number(ordered, _EXPOSURE, fallback.exposure_s),
        f_number=_number(ordered, _F_NUMBER, fallback.f_number),
        focal_mm=_number(ordered, _FOCAL, fallback.focal_mm),
        iso=round(iso) if iso else None,
        time=_time(_text(ordered, _DATE_ORIGINAL) or _text(ordered, _DATE), fallback.time),
        fields=fields or ExifFields(),
    )


def exif_to_json(exif: CaptureExif) -> dict[str, Any]:
    """Return the fields as JSON values, with the time as ISO 8601 text."""
    return {
        **{name: getattr(exif, name) for name in _SIMPLE},
        "time": exif.time.isoformat() if exif.time else None,
        "fields": fields_to_json(exif.fields),
    }


def exif_from_json(fields: Mapping[str, Any]) -> CaptureExif:
    """Return the fields from their JSON values; the inverse of `exif_to_json`."""
    time = fields["time"]
    return CaptureExif(
        **{name: fields[name] for name in _SIMPLE},
        time=datetime.fromisoformat(time) if time else None,
        fields=fields_from_json(fields["fields"]),
    )
