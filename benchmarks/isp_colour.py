"""Colour of the shipped model next to LibRaw's on a real capture, by how much grain is kept.

    python -m benchmarks.isp_colour [--pictures FOLDER] [--docs docs]

Prints the figures and the table of "Colour and grain" in docs/picture-quality.md and, with --docs,
writes the picture of the chart beside LibRaw's. LibRaw renders with the camera's white balance,
the sRGB curve and no automatic brightening.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import rawpy
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from skimage.color import deltaE_ciede2000, rgb2lab

from benchmarks.isp_quality import KODAK, shipped
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.data.photographs import Options, load
from edge_pipeline.data.pictures import Pictures
from edge_pipeline.data.validation import psnr_db, validation_sample
from edge_pipeline.files import atomic_file, packaged
from edge_pipeline.isp.develop import DEFAULT_MODEL, Developer, Settings
from edge_pipeline.isp.grain import DEFAULT_GRAIN
from edge_pipeline.isp.network import Network
from edge_pipeline.raw.colour import to_srgb
from edge_pipeline.raw.noise import NOISE_LEVELS

Rgb = NDArray[np.float64]  # encoded sRGB, [H, W, 3], 0..1
CAPTURE = packaged("calibration/captures/colorchart.dng")
GRAINS = (0.0, 0.1, 0.2, 0.3, 0.4)
PART = (660, 720)  # left and top of a part with edges and flat patches


def libraw(path: Path) -> Rgb:
    """LibRaw's rendering of a capture."""
    with rawpy.imread(str(path)) as raw:
        picture = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, gamma=(2.4, 12.92), output_bps=16
        )
    return picture / 65535


def ours(developer: Developer, path: Path, grain: float) -> Rgb:
    """What `edge-pipeline develop --grain GRAIN` makes of a capture."""
    rgb = developer.develop(path, Settings(grain=grain, bits=16)).rgb
    return rgb / 65535


def difference(one: Rgb, other: Rgb) -> float:
    """Mean CIEDE2000 a pixel."""
    return float(deltaE_ciede2000(rgb2lab(one), rgb2lab(other)).mean())


def blurred(picture: Rgb, sigma: float) -> Rgb:
    """A picture without its noise and its detail.

    Args:
        picture: to blur.
        sigma: of the Gaussian, in pixels.
    """
    return np.asarray(gaussian_filter(picture, (sigma, sigma, 0)))


def psnr_row(network: Network, pictures: Pictures, grain: float) -> list[float]:
    """Mean sRGB PSNR over pictures at each noise level, in dB."""
    develop = shipped(network, grain)
    row = []
    for level in NOISE_LEVELS:
        values = []
        for index, picture in enumerate(pictures.pictures):
            sample = validation_sample(picture, level, index)
            values.append(psnr_db(develop(sample), to_srgb(sample.target, sample.camera_to_srgb)))
        row.append(float(np.mean(values)))
    return row


def sheet(pictures: dict[str, Rgb]) -> Image.Image:
    """Pictures of one size beside each other at half size, and a part of each below at three times.

    Args:
        pictures: by the title that stands above them.
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
    """Measure, print, and write the chart when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=Path("../shared/data/kodak"))
    parser.add_argument("--docs", type=Path, help="folder to write the chart's picture into")
    chosen = parser.parse_args()
    pictures = load(Options(folder=chosen.pictures, licence="as found", only=KODAK))
    theirs = libraw(CAPTURE)
    with Developer(threads=1) as developer:
        charts = {grain: ours(developer, CAPTURE, grain) for grain in GRAINS}
    chart = charts[DEFAULT_GRAIN]
    print(f"isp_default to LibRaw: {difference(chart, theirs):.2f}")
    print(f"LibRaw blurred by 3 pixels to itself: {difference(blurred(theirs, 3), theirs):.2f}")
    both = difference(blurred(chart, 4), blurred(theirs, 4))
    print(f"both blurred by 4 pixels: {both:.2f}\n")
    print("| `--grain` | CIEDE2000 to LibRaw | " + " | ".join(NOISE_LEVELS) + " |")
    print("|---" * (len(NOISE_LEVELS) + 2) + "|")
    with Network(Artifact.open(packaged("calibration") / DEFAULT_MODEL), threads=1) as network:
        for grain, picture in charts.items():
            row = " | ".join(f"{value:.2f}" for value in psnr_row(network, pictures, grain))
            print(f"| {grain:g} | {difference(picture, theirs):.2f} | {row} |", flush=True)
    if chosen.docs:
        with atomic_file(chosen.docs / "chart-libraw.jpg") as temporary:
            sheet({"isp_default": chart, "LibRaw": theirs}).save(temporary, quality=92)


if __name__ == "__main__":
    main()
