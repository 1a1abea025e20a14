"""Read headerless captures: bare pixel values, whose shape and packing a camera profile states.

Rows follow each other without padding, except that a row is padded to a whole number of packed
groups. The layouts, where p0 p1 ... are neighbours in a row and b0 b1 ... are bytes:

    u8          b0 = p0
    u16le       b0 = p0 low, b1 = p0 high
    u16be       b0 = p0 high, b1 = p0 low
    mipi10      4 pixels in 5 bytes: b0..b3 = the high 8 bits of p0..p3,
                b4 = the low 2 bits of p0, p1, p2, p3, from bit 0 up
    mipi12      2 pixels in 3 bytes: b0, b1 = the high 8 bits of p0, p1,
                b2 = the low 4 bits of p0 in bits 0..3, of p1 in bits 4..7
    packed12le  2 pixels in 3 bytes, a stream of bits, lowest first: b0 = p0 low 8,
                b1 = p0 high 4 in bits 0..3 and p1 low 4 in bits 4..7, b2 = p1 high 8

Source: MIPI CSI-2, RAW10 and RAW12 data formats; GenICam PFNC, Bayer 12p for packed12le.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import CaptureError
from edge_pipeline.raw.colour import d65_gains
from edge_pipeline.raw.image import Capture, CaptureExif, check_file, grey_world
from edge_pipeline.raw.profile import CameraProfile

__all__ = ["PACKINGS", "Packing", "read_headerless"]


def _u8(groups: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return groups.astype(np.uint16)


def _u16le(groups: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return groups.view("<u2").astype(np.uint16, copy=False)


def _u16be(groups: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return groups.view(">u2").astype(np.uint16)


def _mipi10(groups: NDArray[np.uint8]) -> NDArray[np.uint16]:
    high = groups[..., :4].astype(np.uint16) << 2
    low = groups[..., 4:] >> np.array([0, 2, 4, 6], np.uint8) & np.uint8(3)
    return np.asarray(high | low, np.uint16)


def _mipi12(groups: NDArray[np.uint8]) -> NDArray[np.uint16]:
    high = groups[..., :2].astype(np.uint16) << 4
    low = groups[..., 2:] >> np.array([0, 4], np.uint8) & np.uint8(15)
    return np.asarray(high | low, np.uint16)


def _packed12le(groups: NDArray[np.uint8]) -> NDArray[np.uint16]:
    first, middle, last = (groups[..., i].astype(np.uint16) for i in range(3))
    return np.stack([first | (middle & 15) << 8, middle >> 4 | last << 4], axis=-1)


@dataclass(frozen=True)
class Packing:
    """A layout of pixels in bytes.

    Attributes:
        pixels: Number of pixels in a group.
        bytes: Number of bytes in a group.
        unpack: Function from [..., bytes] uint8 to [..., pixels] uint16.
    """

    pixels: int
    bytes: int
    unpack: Callable[[NDArray[np.uint8]], NDArray[np.uint16]]

    def row_bytes(self, width: int) -> int:
        """Return the number of bytes of a row of `width` pixels."""
        return -(-width // self.pixels) * self.bytes


PACKINGS: dict[str, Packing] = {
    "u8": Packing(1, 1, _u8),
    "u16le": Packing(1, 2, _u16le),
    "u16be": Packing(1, 2, _u16be),
    "mipi10": Packing(4, 5, _mipi10),
    "mipi12": Packing(2, 3, _mipi12),
    "packed12le": Packing(2, 3, _packed12le),
}


def read_headerless(path: Path, profile: CameraProfile) -> Capture:
    """Read a headerless capture.

    Args:
        path: Path of the file.
        profile: Size, packing, Bayer order and levels of the capture. If it has no white balance,
            the mean of the picture is assumed to be grey, and `notes` says so.

    Raises:
        CaptureError: If the file cannot be read, has another size, or contains a value of more
            bits than the profile states.
    """
    path = Path(path)
    check_file(path)
    _check_size(path, profile)
    packing = PACKINGS[profile.packing]
    data = np.fromfile(path, np.uint8)
    # bytes -> [H, groups, bytes of a group] -> [H, groups, pixels of a group] -> [H, W]
    groups = data.reshape(profile.height, -1, packing.bytes)
    mosaic = packing.unpack(groups).reshape(profile.height, -1)[:, : profile.width]
    mosaic = np.ascontiguousarray(mosaic)
    highest = int(mosaic.max())
    if highest >= 1 << profile.bits:
        raise CaptureError(
            f"{path} has values up to {highest}, more than {profile.bits} bits hold; "
            f"check --bits and --packing, now {profile.packing}"
        )
    notes = []
    wb = profile.wb
    if wb is None:
        notes.append("no white balance given; the picture's mean is assumed to be grey")
        wb = grey_world(mosaic, profile.cfa, profile.black, profile.white)
    matrix = None if profile.xyz_to_camera is None else np.array(profile.xyz_to_camera)
    if matrix is None:
        notes.append("the camera's colours are not known; they are assumed to be those of sRGB")
    return Capture(
        mosaic=mosaic,
        pattern=profile.cfa,
        black=profile.black,
        white=profile.white,
        wb=wb,
        daylight_wb=None,
        xyz_to_camera=matrix,
        orientation=1,
        exif=CaptureExif(),
        source=path,
        notes=tuple(notes),
        d65_wb=None if matrix is None else d65_gains(matrix),
    )


def _check_size(path: Path, profile: CameraProfile) -> None:
    """Raise CaptureError unless the file has the length that the profile implies."""
    actual = path.stat().st_size
    sizes = {
        name: packing.row_bytes(profile.width) * profile.height
        for name, packing in PACKINGS.items()
    }
    expected = sizes[profile.packing]
    if actual == expected:
        return
    fitting = [name for name, size in sizes.items() if size == actual]
    remedy = (
        f"the file's size fits --packing {' or '.join(fitting)}"
        if fitting
        else "check --width, --height and --packing"
    )
    raise CaptureError(
        f"{path} has {actual} bytes, but {profile.width} x {profile.height} pixels in "
        f"{profile.packing} take {expected}; {remedy}"
    )
