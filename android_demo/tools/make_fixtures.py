"""Write the captures and the values that the app's tests compare with, from rawpy and `develop`.

Run from the root of the repository: `python -m android_demo.tools.make_fixtures`. The
files in `app/src/test/resources/fixtures` are those that this command writes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
from PIL import Image

from android_demo.tools.dng_writer import CELLS, MATRIX, Entries, Mosaic, dng, jpeg
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

_WARM = [0.9020, -0.2890, -0.0715, -0.4535, 1.2436, 0.2348, -0.0934, 0.1919, 0.7086]


def _formats(scene: Mosaic) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of a capture of each format."""
    for pattern, cell in CELLS.items():
        red_row, red_column = divmod(pattern.index("R"), 2)
        turned = scene[red_row : red_row + 65, red_column : red_column + 95]
        own: Entries = {33422: ("B", cell), 50829: ("I", [1, 2, 62, 93]),
                        50713: ("H", [2, 2]),
                        50714: ("r", [510.0, 514.0, 518.0, 522.0])}  # fmt: skip
        yield f"order_{pattern.lower()}", dng(turned, own)
    for bits in (10, 12, 14):
        shift = 12 - bits
        values = scene[:64, :90] >> shift if shift > 0 else scene[:64, :90] << -shift
        own = {50714: ("r", [514.0 / 2**shift]), 50717: ("I", [int(3750 / 2**shift)])}
        yield f"bits_{bits}", dng(values.astype(np.uint16), own, bits=bits)
    yield "big_endian", dng(scene[:64, :90], order=">")
    for kind in range(1, 8):
        yield f"jpeg_{kind}", dng(scene[:64, :90], bits=14, tile=(48, 64),
                                   encode=lambda part, kind=kind: jpeg(part, 2, kind))  # fmt: skip
    yield "jpeg_alone", dng(scene[:64, :90], bits=14, tile=(64, 90),
                             encode=lambda part: jpeg(part, 1, 1))  # fmt: skip
    # As several cameras do: a line of the JPEG is two rows of the tile.
    yield "jpeg_paired", dng(scene[:64, :90], bits=14, tile=(32, 64),
                              encode=lambda part: jpeg(part.reshape(16, 128), 2, 1))  # fmt: skip
    yield "jpeg_restart", dng(scene[:64, :90], bits=14, tile=(64, 96),
                               encode=lambda part: jpeg(part, 2, 1, restart_rows=8))  # fmt: skip
    yield "colours", dng(scene[:64, :90], {
        50722: ("R", _WARM), 50778: ("H", [17]), 50779: ("H", [21]),
        50724: ("R", [1.05, 0.01, 0, 0, 1, 0, 0, 0.02, 0.95]), 50727: ("r", [1.2, 1.0, 0.9]),
        274: ("H", [6]), 51041: ("d", [2e-4, 1e-6, 1.5e-4, 1e-6, 2.5e-4, 2e-6]),
    })  # fmt: skip
    table = [min(65535, 8 * n) for n in range(4096)]
    yield "table", dng(scene[:64, :90], {50712: ("H", table), 50714: ("r", [4112.0]),
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
    matrix = camera_to_srgb_matrix(np.array(MATRIX).reshape(3, 3))
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
        path.write_bytes(dng(mosaic, {**levels, 274: ("H", [orientation])}, bits=14))
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
