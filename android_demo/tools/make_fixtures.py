"""Write the captures and the values that the app's tests compare with, from rawpy and `develop`.

Run from the root of the repository: `python android_demo/tools/make_fixtures.py`. The files in
`app/src/test/resources/fixtures` are those that this command writes.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
from numpy.typing import NDArray
from PIL import Image

from edge_pipeline.isp.canvas import ColourConversion
from edge_pipeline.isp.develop import develop
from edge_pipeline.isp.rendering import prepared
from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.capture import Capture, read_capture
from edge_pipeline.raw.cfa import pack
from edge_pipeline.raw.colour import camera_to_srgb_matrix
from edge_pipeline.raw.tone import ToneCurve

__all__: list[str] = []

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "calibration" / "captures" / "colorchart.dng"
FOLDER = ROOT / "android_demo" / "app" / "src" / "test" / "resources" / "fixtures"

Mosaic = NDArray[np.uint16]
Entries = dict[int, tuple[str, list[Any]]]  # format of struct, and values

_TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "r": 5, "R": 10, "d": 12}
_MATRIX = [0.6461, -0.1164, -0.0857, -0.3825, 1.1597, 0.2534, -0.0416, 0.154, 0.6039]
_WARM = [0.9020, -0.2890, -0.0715, -0.4535, 1.2436, 0.2348, -0.0934, 0.1919, 0.7086]
_CELLS = {"RGGB": [0, 1, 1, 2], "GRBG": [1, 0, 2, 1], "GBRG": [1, 2, 0, 1], "BGGR": [2, 1, 1, 0]}


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


def _jpeg(
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
        33421: ("H", [2, 2]), 33422: ("B", _CELLS["RGGB"]), 50706: ("B", [1, 4, 0, 0]),
        50708: ("s", [text]), 50710: ("B", [0, 1, 2]), 50714: ("r", [514.0]),
        50717: ("I", [3750]), 50721: ("R", _MATRIX), 50728: ("r", [0.4037, 1.0, 0.684]),
        50778: ("H", [21]),
    }  # fmt: skip
    return {**entries, **own}


def _dng(
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


def _formats(scene: Mosaic) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of a capture of each format."""
    for pattern, cell in _CELLS.items():
        red_row, red_column = divmod(pattern.index("R"), 2)
        turned = scene[red_row : red_row + 65, red_column : red_column + 95]
        own: Entries = {33422: ("B", cell), 50829: ("I", [1, 2, 62, 93]),
                        50713: ("H", [2, 2]),
                        50714: ("r", [510.0, 514.0, 518.0, 522.0])}  # fmt: skip
        yield f"order_{pattern.lower()}", _dng(turned, own)
    for bits in (10, 12, 14):
        shift = 12 - bits
        values = scene[:64, :90] >> shift if shift > 0 else scene[:64, :90] << -shift
        own = {50714: ("r", [514.0 / 2**shift]), 50717: ("I", [int(3750 / 2**shift)])}
        yield f"bits_{bits}", _dng(values.astype(np.uint16), own, bits=bits)
    yield "big_endian", _dng(scene[:64, :90], order=">")
    for kind in range(1, 8):
        yield f"jpeg_{kind}", _dng(scene[:64, :90], bits=14, tile=(48, 64),
                                   encode=lambda part, kind=kind: _jpeg(part, 2, kind))  # fmt: skip
    yield "jpeg_alone", _dng(scene[:64, :90], bits=14, tile=(64, 90),
                             encode=lambda part: _jpeg(part, 1, 1))  # fmt: skip
    # As several cameras do: a line of the JPEG is two rows of the tile.
    yield "jpeg_paired", _dng(scene[:64, :90], bits=14, tile=(32, 64),
                              encode=lambda part: _jpeg(part.reshape(16, 128), 2, 1))  # fmt: skip
    yield "jpeg_restart", _dng(scene[:64, :90], bits=14, tile=(64, 96),
                               encode=lambda part: _jpeg(part, 2, 1, restart_rows=8))  # fmt: skip
    yield "colours", _dng(scene[:64, :90], {
        50722: ("R", _WARM), 50778: ("H", [17]), 50779: ("H", [21]),
        50724: ("R", [1.05, 0.01, 0, 0, 1, 0, 0, 0.02, 0.95]), 50727: ("r", [1.2, 1.0, 0.9]),
        274: ("H", [6]), 51041: ("d", [2e-4, 1e-6, 1.5e-4, 1e-6, 2.5e-4, 2e-6]),
    })  # fmt: skip
    table = [min(65535, 8 * n) for n in range(4096)]
    yield "table", _dng(scene[:64, :90], {50712: ("H", table), 50714: ("r", [4112.0]),
                                          50717: ("I", [30000]), 274: ("H", [3])})  # fmt: skip


def _golden(path: Path) -> dict[str, Any]:
    """Return the values of a capture as `develop` reads them."""
    capture = read_capture(path)
    mosaic = np.ascontiguousarray(capture.mosaic, "<u2")
    with rawpy.imread(str(path)) as raw:
        area = (raw.sizes.height, raw.sizes.width)
    return {
        "height": mosaic.shape[0],
        "width": mosaic.shape[1],
        "libraw_area": area,
        "cfa": capture.pattern,
        "black": capture.black,
        "white": capture.white,
        "wb": capture.wb,
        "camera_to_srgb": camera_to_srgb_matrix(capture.xyz_to_camera).ravel().tolist(),
        "orientation": capture.orientation,
        "crc32": zlib.crc32(mosaic.tobytes()),
        "signal": _signal(capture),
    }


def _signal(capture: Capture) -> dict[str, Any]:
    """Return sizes of the network's signal, and its packed values on a grid of points."""
    signal, rendering = prepared(capture, Settings(), output_space="camera_linear", multiple=8)
    packed = pack(signal[:, :]) if signal.shape[0] < 500 else pack(signal[:256, :256])
    return {
        "shape": signal.shape,
        "after_ev": rendering.after_ev,
        "packed": packed[:, 1::9, 2::11].ravel().tolist() if signal.shape[0] < 500 else [],
        "size": packed.shape,
    }


def _colours() -> dict[str, Any]:
    """Return random colours of the network and the codes that they become."""
    generator = np.random.default_rng(14)
    rgb = generator.uniform(-0.05, 1.1, (3, 40, 40)).astype(np.float32) ** 2
    rgb[:, :4] *= np.float32(0.02)
    rgb[:, 4] = rgb[0, 4]
    matrix = camera_to_srgb_matrix(np.array(_MATRIX).reshape(3, 3))
    cases = []
    for white in (1.0, 1.31):
        conversion = ColourConversion(
            matrix, float(np.log2(white)), encoded=False, bits=8, tone=ToneCurve(white),
            keeps_hue=True,
        )  # fmt: skip
        codes = conversion.quantised(rgb).ravel().tolist()
        cases.append({"white": white, "codes": codes})
    return {"rgb": rgb.ravel().tolist(), "matrix": matrix.ravel().tolist(), "cases": cases}


def _pictures(chart: Mosaic) -> None:
    """Write two captures and their pictures: one upright, one turned and with saturated light."""
    crop = chart[200:440, 500:820]
    bright = (np.minimum(15000, 2056 + (crop.astype(np.int64) - 2056) * 5)).astype(np.uint16)
    levels: Entries = {50714: ("r", [2056.0]), 50717: ("I", [15000])}
    for name, mosaic, orientation in (("chart", crop, 1), ("bright", bright, 6)):
        path = FOLDER / f"{name}.dng"
        path.write_bytes(_dng(mosaic, {**levels, 274: ("H", [orientation])}, bits=14))
        for form, settings in (
            ("default", Settings()),
            ("uncorrected", Settings(hot_pixels="off", fringes="off")),
        ):
            picture = develop(path, settings=settings, threads=1)
            Image.fromarray(picture.rgb).save(FOLDER / f"{name}_{form}.png", optimize=True)


def main() -> None:
    """Write all files into `FOLDER`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with rawpy.imread(str(CHART)) as raw:
        chart = raw.raw_image_visible.copy()
    scene = (chart[300:366, 600:696] >> 2).astype(np.uint16)  # 12 bits
    golden = {"colorchart": _golden(CHART)}
    for name, content in _formats(scene):
        path = FOLDER / f"{name}.dng"
        path.write_bytes(content)
        golden[name] = _golden(path)
    # LibRaw 0.22 decodes rows after the first one wrongly if a file has restart intervals.
    golden["jpeg_restart"]["crc32"] = zlib.crc32(scene[:64, :90].astype("<u2").tobytes())
    _pictures(chart)
    (FOLDER / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    (FOLDER / "colours.json").write_text(json.dumps(_colours()) + "\n")
    print(f"wrote {len(list(FOLDER.iterdir()))} files into {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
