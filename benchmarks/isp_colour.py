"""Colour difference between the shipped model and LibRaw on a real capture, by kept grain.

    python -m benchmarks.isp_colour [--pictures FOLDER] [--docs docs]

Prints the number and the table of "Colour and grain" in docs/picture-quality.md. With --docs, the
table is written there, with a picture of the chart by both. LibRaw renders with the camera's white
balance, the sRGB curve and no automatic brightening. Colours are compared on means over blocks, so
that noise does not count as a difference of colour.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import rawpy
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.color import deltaE_ciede2000, rgb2lab

from benchmarks.isp.captures import evaluated, reference, take
from benchmarks.isp.networks import shipped
from benchmarks.isp.tables import put_table
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.data.pictures import Pictures
from edge_pipeline.data.validation import psnr_db
from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.files import atomic_file, packaged
from edge_pipeline.isp.develop import DEFAULT_MODEL, Developer
from edge_pipeline.isp.grain import DEFAULT_GRAIN
from edge_pipeline.isp.network import IspSession
from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.colour import srgb_decode, srgb_encode
from edge_pipeline.raw.noise import NOISE_LEVELS

Rgb = NDArray[np.float64]  # encoded sRGB, [H, W, 3], 0..1
CAPTURE = packaged("calibration/captures/colorchart.dng")
GRAINS = (0.0, 0.1, 0.2, 0.3, 0.4)
BLOCK = 8  # pixels along each side of a compared block
PART = (660, 720)  # left and top of a part with edges and flat patches


def libraw(path: Path) -> Rgb:
    """Return LibRaw's rendering of a capture."""
    with rawpy.imread(str(path)) as raw:
        picture = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, gamma=(2.4, 12.92), output_bps=16
        )
    return picture / 65535


def ours(developer: Developer, path: Path, grain: float) -> Rgb:
    """Return the picture that `edge-pipeline develop --grain GRAIN` makes of a capture."""
    rgb = developer.develop(path, Settings(grain=grain, bits=16, tone="linear")).rgb
    return rgb / 65535


def block_means(picture: Rgb) -> Rgb:
    """Return means of linear light over whole blocks of 8 x 8 pixels, encoded as sRGB."""
    rows, cols = (n // BLOCK for n in picture.shape[:2])
    whole = srgb_decode(picture[: rows * BLOCK, : cols * BLOCK])
    means = whole.reshape(rows, BLOCK, cols, BLOCK, 3).mean(axis=(1, 3))
    return np.asarray(srgb_encode(means), np.float64)


def difference(one: Rgb, other: Rgb) -> float:
    """Return the mean CIEDE2000 difference between block means of two pictures."""
    labs = [rgb2lab(block_means(picture)) for picture in (one, other)]
    return float(deltaE_ciede2000(*labs).mean())


def psnr_row(network: IspSession, pictures: Pictures, grain: float) -> list[float]:
    """Return the mean sRGB PSNR over pictures at each noise level, in dB."""
    develop = shipped(network, grain)
    row = []
    for level in NOISE_LEVELS:
        values = []
        for index, picture in enumerate(pictures.pictures):
            sample = take(picture, level, index)
            values.append(psnr_db(develop(sample), reference(sample)))
        row.append(float(np.mean(values)))
    return row


def sheet(pictures: dict[str, Rgb]) -> Image.Image:
    """Return pictures side by side at half size, with a crop of each below at three times the size.

    Args:
        pictures: Pictures of one size, by their titles.
    """
    height, width = next(iter(pictures.values())).shape[:2]
    wide, high, title, gap = width // 2, height // 2, 24, 14
    part = (PART[0], PART[1], PART[0] + wide // 3, PART[1] + high // 4)
    size = ((wide + gap) * len(pictures), 2 * title + high + 3 * (high // 4))
    made = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(16)
    for column, (name, picture) in enumerate(pictures.items()):
        left, below = column * (wide + gap), title + high
        whole = Image.fromarray((picture * 255 + 0.5).astype(np.uint8))
        draw.text((left + 4, 2), name, fill="black", font=font)
        made.paste(whole.resize((wide, high), Image.Resampling.BOX), (left, title))
        draw.text((left + 4, below + 2), f"{name}, a part", fill="black", font=font)
        crop = whole.crop(part)
        crop = crop.resize((3 * crop.width, 3 * crop.height), Image.Resampling.NEAREST)
        made.paste(crop, (left, below + title))
    return made


def main() -> None:
    """Measure, print the table, and write table and chart with --docs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pictures", type=Path, help="folder of pictures; default: the data set kodak_full"
    )
    parser.add_argument("--docs", type=Path, help="output folder of the table and the picture")
    chosen = parser.parse_args()
    try:
        pictures = evaluated(chosen.pictures)
    except EdgePipelineError as error:
        sys.exit(f"error: {error}")
    theirs = libraw(CAPTURE)
    with Developer(threads=1) as developer:
        charts = {grain: ours(developer, CAPTURE, grain) for grain in GRAINS}
    chart = charts[DEFAULT_GRAIN]
    print(f"isp_default to LibRaw: {difference(chart, theirs):.2f}\n")
    lines = [
        "| `--grain` | CIEDE2000 to LibRaw | " + " | ".join(NOISE_LEVELS) + " |",
        "|---" * (len(NOISE_LEVELS) + 2) + "|",
    ]
    with IspSession(Artifact.open(packaged("calibration") / DEFAULT_MODEL), threads=1) as network:
        for grain, picture in charts.items():
            row = " | ".join(f"{value:.2f}" for value in psnr_row(network, pictures, grain))
            lines.append(f"| {grain:g} | {difference(picture, theirs):.2f} | {row} |")
    print("\n".join(lines))
    if chosen.docs:
        put_table(chosen.docs / "picture-quality.md", "colour", "\n".join(lines))
        with atomic_file(chosen.docs / "chart-libraw.jpg") as temporary:
            sheet({"isp_default": chart, "LibRaw": theirs}).save(temporary, quality=92)


if __name__ == "__main__":
    main()
