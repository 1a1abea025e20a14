"""ICC profiles of colour spaces: three primaries and a curve, as ICC.1:2022 (version 4.4) defines.

sRGB keeps the profile of Little CMS, which pictures had before. Profiles contain a fixed creation
time, so that the files of equal pictures are equal.
"""

from __future__ import annotations

import functools
import hashlib
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from edge_pipeline.isp.colour_spaces import ADOBE_GAMMA, D65, SRGB, ColourSpace, Curve

__all__ = ["icc_profile", "srgb_profile"]

# Source: ICC.1:2022, section 7.2.16, the illuminant of the profile connection space.
_D50 = (0.9642, 1.0, 0.8249)
# Source: ICC.1:2022, annex E.3, the linearised Bradford matrix.
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_VERSION = 0x04400000
_CREATED = (2000, 1, 1, 0, 0, 0)
_COPYRIGHT = "No copyright, use freely"
_HEADER_BYTES, _ENTRY_BYTES = 128, 12
_CREATED_AT, _ID = 24, slice(84, 100)
# Parameters of the curves y = x^g, and y = (a x + b)^g from x = d, c x below it.
_PARAMETRIC: dict[Curve, tuple[int, tuple[float, ...]]] = {
    "linear": (0, (1.0,)),
    "gamma": (0, (ADOBE_GAMMA,)),
    "srgb": (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)),
}


@functools.cache
def icc_profile(space: ColourSpace) -> bytes:
    """Return the ICC profile of a colour space, version 4."""
    return srgb_profile() if space == SRGB else _matrix_profile(space)


@functools.cache
def srgb_profile() -> bytes:
    """Return Little CMS's sRGB profile with a fixed creation time."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    struct.pack_into(">6H", profile, _CREATED_AT, *_CREATED)
    return bytes(profile)


def _matrix_profile(space: ColourSpace) -> bytes:
    """Return a profile of the kind "three-component matrix-based display"."""
    x, y = D65
    adaptation = _adaptation(np.array([x / y, 1, (1 - x - y) / y]), np.array(_D50))
    columns = (adaptation @ space.to_xyz()).T
    kind, numbers = _PARAMETRIC[space.curve]
    curve = struct.pack(">4s4xHxx", b"para", kind) + _fixed(*numbers)
    tags = {
        b"desc": _text(space.title),
        b"cprt": _text(_COPYRIGHT),
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_D50),
        b"chad": b"sf32\0\0\0\0" + _fixed(*adaptation.ravel()),
        b"rXYZ": b"XYZ \0\0\0\0" + _fixed(*columns[0]),
        b"gXYZ": b"XYZ \0\0\0\0" + _fixed(*columns[1]),
        b"bXYZ": b"XYZ \0\0\0\0" + _fixed(*columns[2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    return _assembled(tags)


def _assembled(tags: dict[bytes, bytes]) -> bytes:
    """Return header, table and data of a profile; equal data are stored once."""
    begin = _HEADER_BYTES + 4 + _ENTRY_BYTES * len(tags)
    table, data, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for name, content in tags.items():
        if content not in places:
            places[content] = begin + len(data)
            data += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, places[content], len(content))
    profile = bytearray(_header(begin + len(data)) + table + data)
    # Source: ICC.1:2022, section 7.2.18: MD5 with flags, intent and identifier set to zero; the
    # first two are zero already.
    profile[_ID] = hashlib.md5(profile, usedforsecurity=False).digest()
    return bytes(profile)


def _header(size: int) -> bytes:
    """Return the header, 128 bytes, without an identifier (ICC.1:2022, table 17)."""
    return struct.pack(
        ">I4xI4s4s4s6H4s4x4x8x8x4x12s48x",
        size,
        _VERSION,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        *_CREATED,
        b"acsp",
        _fixed(*_D50),
    )


def _fixed(*numbers: float) -> bytes:
    """Return numbers as s15Fixed16."""
    return struct.pack(f">{len(numbers)}i", *(round(float(number) * 65536) for number in numbers))


def _text(text: str) -> bytes:
    """Return a multiLocalizedUnicodeType with one text in American English."""
    coded = text.encode("utf-16-be")
    return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(coded), 28) + coded


def _adaptation(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Bradford matrix that adapts XYZ from one white to another."""
    scale = (_BRADFORD @ target) / (_BRADFORD @ source)
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD, np.float64)
