"""Tone, automatic white balance and highlights of `develop` on real captures.

    python -m benchmarks.isp_rendering [--captures FOLDER] [--docs docs]

Prints the tables of "Rendering" in docs/picture-quality.md. With --docs, they are written there.

Tone: the JPEG that the camera stored in the capture is compared with our picture, scaled to its
size. Automatic white balance: its light is compared with the camera's own. Highlights: light is
multiplied before it saturates, so that the colours of the saturated pixels are known.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rawpy
from numpy.typing import NDArray
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from benchmarks.isp.tables import put_table
from benchmarks.isp_colour import block_means
from edge_pipeline.data.sets import find_set
from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.isp.develop import Developer
from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.capture import Capture, normalise, read_capture
from edge_pipeline.raw.cfa import align, pack
from edge_pipeline.raw.colour import camera_to_srgb_matrix, srgb_decode, srgb_encode, unit_gains
from edge_pipeline.raw.highlights import reconstruct_highlights
from edge_pipeline.raw.tone import TONES, ToneCurve, ToneName, apply_tone
from edge_pipeline.raw.white_balance import balance

Rgb = NDArray[np.float64]  # encoded sRGB, [H, W, 3], 0..1
LEAST_WIDTH = 320  # of a stored JPEG
MARGINS = range(0, 28, 4)  # rows that a camera may cut off at both sides together
OVER = (1.5, 2.0, 3.0)  # times the light of the brightest thousandth of green


class Look(NamedTuple):
    """Figures of a picture.

    Attributes:
        mean: Mean code, 0..255.
        contrast: Standard deviation of L*.
        difference: Mean CIEDE2000 to the camera's picture between means of 8 x 8 pixels.
    """

    mean: float
    contrast: float
    difference: float


def stored_jpeg(path: Path) -> Rgb | None:
    """Return the JPEG in a capture; None if there is none, or a tiny one."""
    with rawpy.imread(str(path)) as raw:
        try:
            thumb = raw.extract_thumb()
        except rawpy.LibRawError:
            return None
    if thumb.format != rawpy.ThumbFormat.JPEG:
        return None
    with Image.open(io.BytesIO(thumb.data)) as image:
        if image.width < LEAST_WIDTH:
            return None
        return np.asarray(image.convert("RGB")) / 255


def scaled(picture: Rgb, like: Rgb, margin: int) -> Rgb:
    """Return the middle of a picture at the size of another, by means in linear light.

    Args:
        picture: Picture to scale.
        like: Picture whose size and aspect ratio the result has.
        margin: Rows to cut off; columns follow from the aspect ratio.
    """
    height = picture.shape[0] - margin
    width = round(height * like.shape[1] / like.shape[0])
    top, left = margin // 2, max(0, (picture.shape[1] - width) // 2)
    part = srgb_decode(picture[top : top + height, left : left + width]).astype(np.float32)
    size = (like.shape[1], like.shape[0])
    planes = [Image.fromarray(part[..., i]).resize(size, Image.Resampling.BOX) for i in range(3)]
    return np.asarray(srgb_encode(np.stack(planes, axis=-1).astype(np.float64)))


def best_margin(picture: Rgb, like: Rgb) -> int:
    """Return the margin at which two pictures agree most."""

    def agreement(margin: int) -> float:
        greens = [p[..., 1].ravel() for p in (scaled(picture, like, margin), like)]
        return float(np.corrcoef(*greens)[0, 1])

    return max(MARGINS, key=agreement)


def look(picture: Rgb, camera: Rgb) -> Look:
    """Return the figures of a picture of the camera's size."""
    labs = [rgb2lab(block_means(p)) for p in (picture, camera)]
    lightness = rgb2lab(picture)[..., 0]
    return Look(
        float(picture.mean() * 255), float(lightness.std()), float(deltaE_ciede2000(*labs).mean())
    )


def tone_rows(developer: Developer, path: Path, camera: Rgb) -> Mapping[str, Look]:
    """Return the figures of the camera's picture and of ours with each tone."""
    rows = {"camera": look(camera, camera)}
    margin = None
    for tone in TONES:
        name: ToneName = tone
        ours = developer.develop(path, Settings(tone=name, bits=16)).rgb / 65535
        margin = best_margin(ours, camera) if margin is None else margin
        rows[tone] = look(scaled(ours, camera, margin), camera)
    return rows


def tone_table(developer: Developer, paths: list[Path]) -> str:
    """Return the table of mean code, contrast and difference."""
    lines = [
        "| capture | mean code: camera / linear / standard | deviation of L*: camera / linear / "
        "standard | CIEDE2000 to the camera: linear / standard |",
        "|---|---|---|---|",
    ]
    every = []
    for path in paths:
        camera = stored_jpeg(path)
        if camera is None:
            continue
        rows = tone_rows(developer, path, camera)
        every.append([rows["camera"], rows["linear"], rows["standard"]])
        lines.append(_tone_line(path.stem, every[-1]))
    mean = [Look(*np.mean([looks[i] for looks in every], axis=0)) for i in range(3)]
    return "\n".join([*lines, _tone_line("mean", mean)])


def _tone_line(name: str, looks: list[Look]) -> str:
    means = " / ".join(f"{look.mean:.0f}" for look in looks)
    contrasts = " / ".join(f"{look.contrast:.1f}" for look in looks)
    differences = " / ".join(f"{look.difference:.1f}" for look in looks[1:])
    return f"| {name} | {means} | {contrasts} | {differences} |"


def balance_table(paths: list[Path]) -> str:
    """Return the table of the camera's light and the measured one."""
    lines = ["| capture | camera | `--wb auto` | angle |", "|---|---|---|---|"]
    angles = []
    for path in paths:
        capture = read_capture(path)
        if capture.xyz_to_camera is None or capture.d65_wb is None:
            continue
        found = [balance(choice, capture) for choice in ("as-shot", "auto")]
        one, other = (1 / np.array(choice.gains) for choice in found)
        cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
        angles.append(float(np.degrees(np.arccos(min(1.0, cosine)))))
        texts = [
            "none" if b.light is None else f"{b.light.kelvin:.0f} K, tint {b.light.tint:+.0f}"
            for b in found
        ]
        lines.append(f"| {path.stem} | {texts[0]} | {texts[1]} | {angles[-1]:.1f}° |")
    return "\n".join([*lines, f"| median | | | {np.median(angles):.1f}° |"])


def highlight_errors(capture: Capture, over: float) -> tuple[float, float, float]:
    """Return the share of partly saturated cells, and CIEDE2000 there: clipped, reconstructed."""
    light = normalise(capture, capture.wb, clip=False)
    light *= np.float32(over / np.quantile(light, 0.999))
    red, green, blue = unit_gains(capture.wb)
    limits = np.array([red, green, green, blue], np.float32)[:, None, None]
    aligned = align(light, capture.pattern).mosaic
    truth = pack(aligned)
    saturated = truth >= limits
    partly = saturated.any(axis=0) & ~saturated.all(axis=0)
    made = _saturating(aligned, limits)
    reconstruct_highlights(made, "RGGB", capture.wb)
    pictures = (np.minimum(truth, limits.max()), np.minimum(truth, 1), pack(made))
    matrix = camera_to_srgb_matrix(capture.xyz_to_camera).astype(np.float32)
    curve = ToneCurve(float(limits.max()))
    labs = [_lab(cells[:, partly], matrix, curve) for cells in pictures]
    errors = [float(deltaE_ciede2000(labs[0], lab).mean()) for lab in labs[1:]]
    return float(partly.mean()), errors[0], errors[1]


def _saturating(mosaic: NDArray[np.float32], limits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an RGGB mosaic as a sensor with these limits of its four planes records it."""
    made = mosaic.copy()
    for plane, limit in enumerate(limits.ravel()):
        row, column = divmod(plane, 2)
        made[row::2, column::2] = np.minimum(made[row::2, column::2], limit)
    return made


def _lab(
    cells: NDArray[np.float32], matrix: NDArray[np.float32], curve: ToneCurve
) -> NDArray[np.float64]:
    """Return L*a*b* of packed cells, [4, n], with the standard tone."""
    camera = np.stack([cells[0], (cells[1] + cells[2]) / 2, cells[3]])
    rgb = apply_tone(np.asarray(matrix @ camera, np.float32), curve)
    return np.asarray(rgb2lab(srgb_encode(rgb.T)), np.float64)


def highlights_table(paths: list[Path]) -> str:
    """Return the table of errors in partly saturated cells by overexposure."""
    lines = [
        "| light | captures | share of cells, mean | CIEDE2000: clip | reconstruct |",
        "|---|---|---|---|---|",
    ]
    captures = [read_capture(path) for path in paths]
    for over in OVER:
        found = [highlight_errors(c, over) for c in captures if c.xyz_to_camera is not None]
        share, clip, made = np.mean(found, axis=0)
        lines.append(f"| {over:g} | {len(found)} | {share:.1%} | {clip:.1f} | {made:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables, and write them with --docs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--captures", type=Path, help="folder of RAW files; default: the data set real_captures"
    )
    parser.add_argument("--docs", type=Path, help="output folder of the tables")
    chosen = parser.parse_args()
    try:
        folder = chosen.captures or find_set("real_captures")
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        with Developer(threads=1) as developer:
            made = {"tone": tone_table(developer, paths)}
        made["balance"] = balance_table(paths)
        made["highlights"] = highlights_table(paths)
    except (EdgePipelineError, OSError) as error:
        sys.exit(f"error: {error}")
    for name, table in made.items():
        print(f"{name}\n\n{table}\n")
        if chosen.docs:
            put_table(chosen.docs / "picture-quality.md", name, table)


if __name__ == "__main__":
    main()
