"""Write the captures and the values that the tests of the app's corrections compare with.

Run from the root of the repository:
`python -m android_demo.tools.make_correction_fixtures`.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from android_demo.tools.dng_writer import CELLS, Entries, Mosaic, dng, jpeg
from edge_pipeline.data.procedural import KINDS
from edge_pipeline.data.raw_synthesis import CAMERAS_TO_SRGB, Shot, clean_camera_rgb, mosaic_of
from edge_pipeline.raw.capture import Capture, read_capture
from edge_pipeline.raw.displacement import Displacement
from edge_pipeline.raw.fringes import Measured
from edge_pipeline.raw.hot_pixels import repaired
from edge_pipeline.raw.noise import NOISE_LEVELS
from edge_pipeline.raw.realign import measure_fringes, realigned
from edge_pipeline.raw.resample import sample

__all__ = ["CAPTURES", "FOLDER", "corrections"]

FOLDER = Path(__file__).resolve().parents[1] / "app" / "src" / "test" / "resources" / "fixtures"
CAPTURES = ("lens_rggb", "lens_bggr", "chart", "bright", "order_gbrg", "bits_10")

_BLACK, _WHITE = 1000, 16000
_GAINS = (2.0, 1.0, 1.5)
_SIDE = 576
_MOVED = (
    (0, Displacement(down=0.2, linear=1.5)),
    (2, Displacement(right=-0.3, linear=-1.2, cubic=0.4)),
)


def _lens(pattern: str) -> bytes:
    """Return a capture with fringes, and with hot and dead pixels, alone and in pairs."""
    shot = Shot(CAMERAS_TO_SRGB[0], _GAINS, 1.0, NOISE_LEVELS["low"], _WHITE - _BLACK)
    picture = KINDS["dead_leaves"](_SIDE, np.random.default_rng(4))
    light = clean_camera_rgb(picture, shot)
    seen = light.copy()
    grid = np.indices(light.shape[1:], np.float32)
    for colour, moved in _MOVED:
        down, right = moved.at(grid[0], grid[1], light.shape[1:])
        margin = np.pad(light[colour], 8, mode="edge")
        seen[colour] = np.clip(sample(((margin,),), 0, down, right, 8), 0, 1)
    signal = mosaic_of(seen, shot, np.random.default_rng(1))
    values = np.clip(np.rint(signal * (_WHITE - _BLACK) + _BLACK), 0, _WHITE).astype(np.uint16)
    top, left = divmod(pattern.index("R"), 2)
    # An even width, because LibRaw decodes tiles wrongly that are wider than the picture.
    mosaic = _with_defects(values[top:, left : _SIDE - left])
    own: Entries = {
        33422: ("B", CELLS[pattern]), 50714: ("r", [float(_BLACK)]), 50717: ("I", [_WHITE]),
        50728: ("r", [1 / gain for gain in _GAINS]),
    }  # fmt: skip
    height, width = mosaic.shape
    return dng(mosaic, own, bits=14, tile=(height, width), encode=lambda part: jpeg(part, 2, 1))


def _with_defects(mosaic: Mosaic) -> Mosaic:
    """Return a mosaic with 40 hot, 20 dead and 10 pairs of hot pixels; some touch the edges."""
    generator = np.random.default_rng(14)
    height, width = mosaic.shape
    mosaic = mosaic.copy()
    rows = generator.integers(0, height, 70)
    columns = generator.integers(0, width, 70)
    rows[:8], columns[:8] = (0, 1, height - 1, height - 2, 9, 30, 51, 77), (
        5, width - 1, 40, 0, 1, width - 2, 0, width - 1)  # fmt: skip
    values = np.r_[generator.integers(9000, _WHITE + 1, 40), generator.integers(0, _BLACK, 20),
                   generator.integers(9000, _WHITE, 10)]  # fmt: skip
    mosaic[rows, columns] = values
    pairs = slice(60, 70)
    mosaic[np.minimum(rows[pairs] + 1, height - 1), columns[pairs]] = values[pairs]
    return mosaic


def _told(measured: Measured) -> dict[str, Any]:
    return {
        "displacement": list(measured.displacement),
        "blocks": measured.blocks,
        "prediction": measured.prediction,
        "certain": measured.certain,
    }


def _hash(capture: Capture) -> int:
    return zlib.crc32(np.ascontiguousarray(capture.mosaic, "<u2").tobytes())


def corrections(name: str) -> tuple[dict[str, Any], Capture]:
    """Return the corrections of a capture of the fixtures, and the corrected capture."""
    clean, pixels = repaired(read_capture(FOLDER / f"{name}.dng"))
    fringes = measure_fringes(clean)
    aligned = realigned(clean, fringes)
    return {
        "hot": pixels.hot,
        "dead": pixels.count - pixels.hot,
        "places": (pixels.rows * clean.mosaic.shape[1] + pixels.columns).tolist(),
        "repaired_crc32": _hash(clean),
        "red": _told(fringes.red),
        "blue": _told(fringes.blue),
        "aligned_crc32": _hash(aligned),
    }, aligned


def main() -> None:
    """Write all files into `FOLDER`."""
    found = {}
    for name in CAPTURES:
        if name.startswith("lens_"):
            (FOLDER / f"{name}.dng").write_bytes(_lens(name[5:].upper()))
        found[name], aligned = corrections(name)
        if name.startswith("lens_"):
            picture = Image.fromarray(np.ascontiguousarray(aligned.mosaic, np.uint16))
            picture.save(FOLDER / f"{name}_aligned.png")
    (FOLDER / "corrections.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"wrote the corrections of {', '.join(CAPTURES)}")


if __name__ == "__main__":
    main()
