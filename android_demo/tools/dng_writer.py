"""Write DNG files for the app's tests: uncompressed or lossless JPEG, in strips or tiles."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CELLS", "MATRIX", "Entries", "Mosaic", "dng", "jpeg"]

Mosaic = NDArray[np.uint16]
Entries = dict[int, tuple[str, list[Any]]]  # format of struct, and values

_TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "r": 5, "R": 10, "d": 12}
MATRIX = [0.6461, -0.1164, -0.0857, -0.3825, 1.1597, 0.2534, -0.0416, 0.154, 0.6039]
CELLS = {"RGGB": [0, 1, 1, 2], "GRBG": [1, 0, 2, 1], "GBRG": [1, 2, 0, 1], "BGGR": [2, 1, 1, 0]}


def _payload(order: str, kind: str, values: list[Any]) -> tuple[int, bytes]:
    if kind == "s":
        return len(values[0]), values[0]
    if kind in "rR":
        pairs = [n for value in values for n in (round(value * 1_000_000), 1_000_000)]
        return len(values), struct.pack(f"{order}{len(pairs)}{'I' if kind == 'r' else 'i'}", *pairs)
    return len(values), struct.pack(f"{order}{len(values)}{kind}", *values)


def _tiff(entries: Entries, parts: list[bytes], order: str, offsets_tag: int) -> bytes:
    """Return a TIFF file of one directory whose segments are `parts`."""
    body = b""
    places: list[int] = [0] * len(parts)
    for _ in range(2):
        every = {**entries, offsets_tag: ("I", places)}
        head = struct.pack(f"{order}H", len(every))
        behind = 8 + 2 + 12 * len(every) + 4
        extra = b""
        for tag, (kind, values) in sorted(every.items()):
            count, data = _payload(order, kind, values)
            head += struct.pack(f"{order}HHI", tag, _TYPES[kind], count)
            if len(data) > 4:
                head += struct.pack(f"{order}I", behind + len(extra))
                extra += data + b"\0" * (len(data) % 2)
            else:
                head += data.ljust(4, b"\0")
        body = head + struct.pack(f"{order}I", 0) + extra
        starts = np.cumsum([8 + len(body), *(len(part) for part in parts)])
        places = [int(start) for start in starts[:-1]]
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(f"{order}HI", 42, 8) + body + b"".join(parts)


def _packed(mosaic: Mosaic, bits: int, order: str) -> bytes:
    """Return uncompressed rows of samples, high bits first."""
    if bits == 16:
        return mosaic.astype(f"{order}u2").tobytes()
    shifts = np.arange(bits - 1, -1, -1)
    return np.packbits((mosaic[..., None] >> shifts & 1).astype(np.uint8).reshape(len(mosaic), -1),
                       axis=1).tobytes()  # fmt: skip


def _predicted(line: NDArray[np.int64], above: NDArray[np.int64], step: int, kind: int) -> Any:
    left, corner = line[:-step], above[:-step]
    up = above[step:]
    return (None, left, up, corner, left + up - corner, left + ((up - corner) >> 1),
            up + ((left - corner) >> 1), (left + up) >> 1)[kind]  # fmt: skip


def jpeg(
    samples: Mosaic, components: int, kind: int, *, precision: int = 14, restart_rows: int = 0
) -> bytes:
    """Return samples, [rows, columns x components], as lossless JPEG; every code has 5 bits."""
    rows, width = samples.shape
    columns = width // components
    scan = _scan(samples.astype(np.int64), components, kind, precision, restart_rows)
    frame = struct.pack(">BHHB", precision, rows, columns, components)
    frame += b"".join(bytes([i + 1, 0x11, 0]) for i in range(components))
    lengths = bytes([0] * 4 + [17] + [0] * 11)
    head = bytes([components]) + b"".join(bytes([i + 1, 0]) for i in range(components))
    segments = [(0xC3, frame), (0xC4, b"\0" + lengths + bytes(range(17)))]
    if restart_rows:
        segments.append((0xDD, struct.pack(">H", restart_rows * columns)))
    segments.append((0xDA, head + bytes([kind, 0, 0])))
    made = b"".join(struct.pack(">BBH", 255, m, len(data) + 2) + data for m, data in segments)
    return b"\xff\xd8" + made + scan + b"\xff\xd9"


def _scan(
    samples: NDArray[np.int64], components: int, kind: int, precision: int, restart_rows: int
) -> bytes:
    scan, bits = b"", ""
    for number, line in enumerate(samples):
        first = number == 0
        if restart_rows and number and number % restart_rows == 0:
            scan += _stuffed(bits) + bytes([255, 0xD0 + (number // restart_rows - 1) % 8])
            bits, first = "", True
        guess = np.empty_like(line)
        above = samples[number - 1]
        guess[:components] = 1 << (precision - 1) if first else above[:components]
        own = 1 if first else kind
        guess[components:] = _predicted(line, above, components, own)
        for difference in (line - guess).tolist():
            size = abs(difference).bit_length()
            low = difference if difference > 0 else difference + (1 << size) - 1
            bits += f"{size:05b}" + (f"{low:0{size}b}" if size else "")
    return scan + _stuffed(bits)


def _stuffed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def _entries(mosaic: Mosaic, bits: int, order: str, own: Entries) -> Entries:
    height, width = mosaic.shape
    text = b"Sensor One\0"
    entries: Entries = {
        254: ("I", [0]), 256: ("I", [width]), 257: ("I", [height]), 258: ("H", [bits]),
        259: ("H", [1]), 262: ("H", [32803]), 271: ("s", [b"Edge\0"]), 272: ("s", [text]),
        274: ("H", [1]), 277: ("H", [1]), 278: ("I", [height]), 284: ("H", [1]),
        33421: ("H", [2, 2]), 33422: ("B", CELLS["RGGB"]), 50706: ("B", [1, 4, 0, 0]),
        50708: ("s", [text]), 50710: ("B", [0, 1, 2]), 50714: ("r", [514.0]),
        50717: ("I", [3750]), 50721: ("R", MATRIX), 50728: ("r", [0.4037, 1.0, 0.684]),
        50778: ("H", [21]),
    }  # fmt: skip
    return {**entries, **own}


def dng(
    mosaic: Mosaic,
    own: Entries | None = None,
    *,
    bits: int = 16,
    order: str = "<",
    tile: tuple[int, int] | None = None,
    encode: Callable[[Mosaic], bytes] | None = None,
) -> bytes:
    """Return a DNG of one strip, or of tiles of a height and a width that `encode` encodes."""
    entries = _entries(mosaic, bits, order, own or {})
    if tile is None or encode is None:
        data = _packed(mosaic, bits, order)
        return _tiff({**entries, 279: ("I", [len(data)])}, [data], order, 273)
    (high, wide), (height, width) = tile, mosaic.shape
    padded = np.pad(mosaic, ((0, -height % high), (0, -width % wide)), mode="edge")
    parts = [
        encode(padded[top : top + high, left : left + wide])
        for top in range(0, height, high)
        for left in range(0, width, wide)
    ]
    del entries[278]
    entries |= {
        259: ("H", [7]), 322: ("I", [wide]), 323: ("I", [high]),
        325: ("I", [len(part) for part in parts]),
    }  # fmt: skip
    return _tiff(entries, parts, order, 324)
