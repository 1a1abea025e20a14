"""Picture quality of the shipped model next to classical demosaicing, at four noise levels.

    python -m benchmarks.isp_quality [--pictures FOLDER] [--artifact FOLDER] [--docs docs]

Prints the table of docs/picture-quality.md and, with --docs, puts it and its pictures there.
The pictures (Kodak 09 to 12 by default) were not trained on. A capture is synthesised from each
with a sensor whose colours are sRGB's; every method gets the same noisy mosaic.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rawpy
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.metrics import structural_similarity

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.data.photographs import Options, load
from edge_pipeline.data.pictures import Pictures
from edge_pipeline.data.raw_synthesis import Sample
from edge_pipeline.data.validation import psnr_db, validation_sample
from edge_pipeline.files import atomic_file, packaged
from edge_pipeline.isp.grain import DEFAULT_GRAIN
from edge_pipeline.isp.network import Network
from edge_pipeline.raw.cfa import unpack
from edge_pipeline.raw.colour import SRGB_TO_XYZ, to_srgb
from edge_pipeline.raw.noise import NOISE_LEVELS
from tests.fakes.dng import Dng, write_dng

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it deprecates parts of its own dependencies at import
    from colour_demosaicing import (
        demosaicing_CFA_Bayer_bilinear,
        demosaicing_CFA_Bayer_Malvar2004,
        demosaicing_CFA_Bayer_Menon2007,
    )

Rgb = NDArray[np.float32]
Method = Callable[[Sample], Rgb]  # encoded sRGB, [3, H, W]
KODAK = ("kodim09", "kodim10", "kodim11", "kodim12")


def classical(demosaic: Callable[[NDArray[np.float32], str], NDArray[np.float64]]) -> Method:
    """A demosaicing of the package colour-demosaicing."""

    def develop(sample: Sample) -> Rgb:
        camera = demosaic(unpack(sample.packed), "RGGB").transpose(2, 0, 1)
        return to_srgb(camera, sample.camera_to_srgb)

    return develop


def libraw_ahd(sample: Sample) -> Rgb:
    """LibRaw's AHD on a DNG that is written for it."""
    black, span = 1024, 15500
    mosaic = np.round(unpack(sample.packed) * span + black).clip(0, 65535).astype(np.uint16)
    matrix = tuple(np.linalg.inv(SRGB_TO_XYZ).ravel())
    dng = Dng(black=(black,) * 4, white=(black + span,), neutral=(1.0, 1.0, 1.0), matrix=matrix)
    with tempfile.TemporaryDirectory() as folder:
        path = write_dng(Path(folder) / "capture.dng", mosaic, dng)
        with rawpy.imread(str(path)) as raw:
            picture = raw.postprocess(
                demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD,
                use_camera_wb=True,
                no_auto_bright=True,
                adjust_maximum_thr=0,
                output_bps=16,
                gamma=(2.4, 12.92),
            )
    return (picture.transpose(2, 0, 1) / 65535).astype(np.float32)


def shipped(network: Network, grain: float = DEFAULT_GRAIN) -> Method:
    """The artifact as `edge-pipeline develop` runs it: filters once, then tiles."""

    def develop(sample: Sample) -> Rgb:
        mosaic = unpack(sample.packed)
        camera = np.zeros(sample.target.shape, np.float32)
        for core in network.cores(mosaic, network.filters(mosaic), grain=grain):
            height, width = core.rgb.shape[1:]
            camera[:, core.top : core.top + height, core.left : core.left + width] = core.rgb
        return to_srgb(camera, sample.camera_to_srgb)

    return develop


def ssim(picture: Rgb, reference: Rgb) -> float:
    """SSIM with the window of its paper, over colour channels."""
    return float(
        structural_similarity(
            picture,
            reference,
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            use_sample_covariance=False,
        )
    )


def table(methods: dict[str, Method], pictures: Pictures) -> str:
    """Mean PSNR and SSIM by method and level, as Markdown."""
    head = "| sRGB PSNR (dB) / SSIM | " + " | ".join(NOISE_LEVELS) + " |"
    lines = [head, "|---" * (len(NOISE_LEVELS) + 1) + "|"]
    for name, method in methods.items():
        cells = []
        for level in NOISE_LEVELS:
            scores = []
            for index, picture in enumerate(pictures.pictures):
                sample = validation_sample(picture, level, index)
                wanted = to_srgb(sample.target, sample.camera_to_srgb)
                got = method(sample)
                scores.append((psnr_db(got, wanted), ssim(got, wanted)))
            psnr, similarity = np.mean(scores, axis=0)
            cells.append(f"{psnr:.2f} / {similarity:.4f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def strip(methods: dict[str, Method], picture: NDArray[np.uint8], index: int) -> Image.Image:
    """A crop by every method (columns) at every noise level (rows), at twice the size."""
    side, top, left = 128, 150, 180
    names = ["original", *methods]
    sheet = Image.new("RGB", (2 * side * len(names), (2 * side + 24) * len(NOISE_LEVELS)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for row, level in enumerate(NOISE_LEVELS):
        sample = validation_sample(picture, level, index)
        wanted = to_srgb(sample.target, sample.camera_to_srgb)
        for column, name in enumerate(names):
            rgb = wanted if name == "original" else methods[name](sample)
            crop = rgb[:, top : top + side, left : left + side].transpose(1, 2, 0)
            tile = Image.fromarray((crop * 255 + 0.5).astype(np.uint8))
            at = (column * 2 * side, row * (2 * side + 24))
            score = "" if name == "original" else f" {psnr_db(rgb, wanted):.1f} dB"
            draw.text((at[0] + 4, at[1] + 2), f"{name}, {level}{score}", fill="black", font=font)
            sheet.paste(
                tile.resize((2 * side, 2 * side), Image.Resampling.NEAREST), (at[0], at[1] + 24)
            )
    return sheet


def put_table(page: Path, table: str) -> None:
    """Put a Markdown table in the place of the page's table with the same heading.

    Raises:
        ValueError: the page has none.
    """
    lines, rows = page.read_text(encoding="utf-8").splitlines(), table.splitlines()
    start = stop = lines.index(rows[0])
    while stop < len(lines) and lines[stop].startswith("|"):
        stop += 1
    with atomic_file(page) as temporary:
        text = "\n".join([*lines[:start], *rows, *lines[stop:]]) + "\n"
        temporary.write_text(text, encoding="utf-8")


def main() -> None:
    """Measure, print, and write into the docs when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=Path("../shared/data/kodak"))
    parser.add_argument(
        "--artifact", type=Path, default=packaged("calibration/pretrained/isp_default/artifact")
    )
    parser.add_argument("--docs", type=Path, help="folder to write the table and pictures into")
    parser.add_argument("--all", action="store_true", help="every picture, not Kodak 09 to 12")
    chosen = parser.parse_args()
    only = () if chosen.all else KODAK
    pictures = load(Options(folder=chosen.pictures, licence="as found", only=only))
    with Network(Artifact.open(chosen.artifact), threads=1) as network:
        methods: dict[str, Method] = {
            "bilinear": classical(demosaicing_CFA_Bayer_bilinear),
            "Malvar": classical(demosaicing_CFA_Bayer_Malvar2004),
            "Menon": classical(demosaicing_CFA_Bayer_Menon2007),
            "LibRaw AHD": libraw_ahd,
            "isp_default": shipped(network),
        }
        text = table(methods, pictures)
        print(text)
        if chosen.docs:
            put_table(chosen.docs / "picture-quality.md", text)
            for index, (name, picture) in enumerate(
                zip(pictures.names, pictures.pictures, strict=True)
            ):
                with atomic_file(chosen.docs / f"quality-{Path(name).stem}.jpg") as temporary:
                    strip(methods, picture, index).save(temporary, quality=92)


if __name__ == "__main__":
    main()
