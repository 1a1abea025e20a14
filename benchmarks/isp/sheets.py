"""Sheets of crops: one picture, developed by several methods at every noise level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.isp.captures import Method, Rgb, Rgb8, reference, take
from edge_pipeline.data.validation import psnr_db
from edge_pipeline.raw.noise import NOISE_LEVELS

__all__ = ["sheet"]

_SIDE, _TOP, _LEFT = 128, 150, 180  # of the crop, in pixels
_SHOWN = 2 * _SIDE
_TITLE = 24


def sheet(methods: Mapping[str, Method], picture: Rgb8, index: int) -> Image.Image:
    """Return a crop by every method (columns) at every noise level (rows), at twice the size.

    Args:
        methods: Methods by their titles.
        picture: Picture [H, W, 3].
        index: Number of the picture, which seeds the noise.
    """
    size = (_SHOWN * (1 + len(methods)), (_SHOWN + _TITLE) * len(NOISE_LEVELS))
    made = Image.new("RGB", size, "white")
    for row, level in enumerate(NOISE_LEVELS):
        sample = take(picture, level, index)
        expected = reference(sample)
        _put(made, row, 0, f"original, {level}", expected)
        for column, (name, method) in enumerate(methods.items(), start=1):
            rgb = method(sample)
            _put(made, row, column, f"{name}, {level} {psnr_db(rgb, expected):.1f} dB", rgb)
    return made


def _put(made: Image.Image, row: int, column: int, title: str, rgb: Rgb) -> None:
    crop = rgb[:, _TOP : _TOP + _SIDE, _LEFT : _LEFT + _SIDE].transpose(1, 2, 0)
    tile = Image.fromarray((crop * 255 + 0.5).astype(np.uint8))
    left, top = column * _SHOWN, row * (_SHOWN + _TITLE)
    font = ImageFont.load_default(16)
    ImageDraw.Draw(made).text((left + 4, top + 2), title, fill="black", font=font)
    made.paste(tile.resize((_SHOWN, _SHOWN), Image.Resampling.NEAREST), (left, top + _TITLE))
