"""Measurements of the benchmark: functions of methods and pictures that return metrics by method.

A method is a function that develops a `SyntheticCapture` to encoded sRGB. `networks.from_packed`
makes a method of any function from packed Bayer to linear camera RGB, such as a network in
training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.isp.captures import Method, Rgb8, Take, blurred, flat_take, reference, shifted, take
from benchmarks.isp.measures import (
    BORDER,
    CODES,
    Quality,
    border_psnr,
    phase_spread,
    quality,
    zipper_per_megapixel,
)
from benchmarks.isp.patches import patch_takes
from edge_pipeline.data.validation import psnr_db
from edge_pipeline.raw.noise import NOISE_LEVELS

__all__ = [
    "EXPOSURE_EV",
    "SHIFTS",
    "Borders",
    "Exposure",
    "Flat",
    "Phases",
    "measure_borders",
    "measure_exposure",
    "measure_flats",
    "measure_noise",
    "measure_phases",
    "measure_real_zipper",
    "measure_shift",
    "measure_zipper",
]

Methods = Mapping[str, Method]

SHIFTS = (0.5, 1.0)  # pixels
EXPOSURE_EV = 4.0
_FLAT_SIDE = 128
_OVEREXPOSED = 1.5


class Borders(NamedTuple):
    """PSNR of the outer 8 pixels and of the inner pixels, in dB."""

    outer_db: float
    inner_db: float


class Exposure(NamedTuple):
    """PSNR of normally exposed captures, and of underexposed captures after pushing, in dB."""

    normal_db: float
    pushed_db: float

    @property
    def loss_db(self) -> float:
        """Loss of PSNR by underexposure, in dB."""
        return self.normal_db - self.pushed_db


@dataclass(frozen=True)
class Phases:
    """Errors on flat saturated patches, in codes of 255.

    Attributes:
        grid: Largest spread of the means of the four phases, by channel.
        grid_mean: Mean of this spread over patches and channels.
        colour: Mean distance of a patch's mean from its colour, over patches and channels.
        colour_worst: Largest of these distances.
    """

    grid: tuple[float, float, float]
    grid_mean: float
    colour: float
    colour_worst: float


class Flat(NamedTuple):
    """Mean signed errors on flat surfaces, over channels, in codes of 255.

    Attributes:
        white: Error for a scene above the white level.
        black: Error for a dark scene with noise below the black level.
        black_clipped: Error for a dark scene whose noise is clipped at the black level.
    """

    white: float
    black: float
    black_clipped: float


def _qualities(method: Method, takes: Iterable[Take]) -> Quality:
    scores = [quality(method(sample), reference(sample)) for sample in takes]
    return Quality(*map(float, np.mean(scores, axis=0)))


def measure_noise(
    methods: Methods, pictures: Sequence[Rgb8], levels: Sequence[str] = tuple(NOISE_LEVELS)
) -> dict[str, dict[str, Quality]]:
    """Measure mean PSNR and SSIM by method and noise level.

    Args:
        methods: Methods by name.
        pictures: Pictures, each [H, W, 3], uint8, sRGB.
        levels: Names of noise levels in NOISE_LEVELS.
    """
    return {
        name: {
            level: _qualities(method, (take(p, level, i) for i, p in enumerate(pictures)))
            for level in levels
        }
        for name, method in methods.items()
    }


def measure_shift(
    methods: Methods, pictures: Sequence[Rgb8], pixels: Sequence[float] = SHIFTS
) -> dict[str, dict[float, Quality]]:
    """Measure mean PSNR and SSIM with red and blue shifted against green, without noise.

    Args:
        methods: Methods by name.
        pictures: Pictures, each [H, W, 3], uint8, sRGB.
        pixels: Shifts along both axes, in opposite directions for red and blue.
    """
    moved = {by: [shifted(picture, by) for picture in pictures] for by in pixels}
    return {
        name: {
            by: _qualities(method, (take(p, "none", i) for i, p in enumerate(moved[by])))
            for by in pixels
        }
        for name, method in methods.items()
    }


def measure_zipper(methods: Methods, pictures: Sequence[Rgb8]) -> dict[str, float]:
    """Measure zipper windows per megapixel, as means over pictures of the worst channel.

    The pictures are blurred by a Gaussian of one pixel, then red and blue are shifted by one pixel
    in opposite directions. There is no noise.

    Args:
        methods: Methods by name.
        pictures: Pictures, each [H, W, 3], uint8, sRGB.
    """
    soft = [shifted(blurred(picture, 1.0), 1.0) for picture in pictures]
    takes = [take(picture, "none", index) for index, picture in enumerate(soft)]
    return {name: _zipper(method, takes) for name, method in methods.items()}


def measure_real_zipper(methods: Methods, takes: Mapping[str, Take]) -> dict[str, dict[str, float]]:
    """Measure zipper windows per megapixel of real captures, by method and capture.

    Args:
        methods: Methods by name.
        takes: Captures from `captures.real_take`, by name.
    """
    return {
        name: {file: _zipper(method, [sample]) for file, sample in takes.items()}
        for name, method in methods.items()
    }


def _zipper(method: Method, takes: Iterable[Take]) -> float:
    counts = [zipper_per_megapixel(method(sample)) for sample in takes]
    return float(np.mean(counts, axis=0).max())


def measure_phases(methods: Methods) -> dict[str, Phases]:
    """Measure the phase grid and the colour error of flat saturated patches, without noise.

    Args:
        methods: Methods by name.
    """
    sheets = patch_takes()
    result = {}
    for name, method in methods.items():
        grids, errors = [], []
        for sample, patches in sheets:
            got, expected = method(sample), reference(sample)
            for rows, cols in patches:
                patch = got[:, rows, cols]
                grids.append(phase_spread(patch))
                mean = patch.mean(axis=(1, 2), dtype=np.float64)
                errors.append(np.abs(mean - expected[:, rows.start, cols.start]) * CODES)
        red, green, blue = map(float, np.max(grids, axis=0))
        result[name] = Phases(
            (red, green, blue),
            float(np.mean(grids)),
            float(np.mean(errors)),
            float(np.max(errors)),
        )
    return result


def measure_flats(
    methods: Methods, levels: Sequence[str] = tuple(NOISE_LEVELS)
) -> dict[str, dict[str, Flat]]:
    """Measure mean errors of flat white and flat black, by method and noise level.

    Args:
        methods: Methods by name.
        levels: Names of noise levels in NOISE_LEVELS.
    """

    def error(method: Method, sample: Take) -> float:
        inner = (method(sample) - reference(sample))[:, BORDER:-BORDER, BORDER:-BORDER]
        return float(inner.mean(dtype=np.float64) * CODES)

    return {
        name: {
            level: Flat(
                error(method, flat_take(_OVEREXPOSED, _FLAT_SIDE, level)),
                error(method, flat_take(0.0, _FLAT_SIDE, level)),
                error(method, flat_take(0.0, _FLAT_SIDE, level, clip_black=True)),
            )
            for level in levels
        }
        for name, method in methods.items()
    }


def measure_borders(methods: Methods, pictures: Sequence[Rgb8]) -> dict[str, Borders]:
    """Measure mean PSNR of the outer 8 pixels and of the inner pixels, without noise.

    Args:
        methods: Methods by name.
        pictures: Pictures, each [H, W, 3], uint8, sRGB.
    """
    takes = [take(picture, "none", index) for index, picture in enumerate(pictures)]
    result = {}
    for name, method in methods.items():
        pairs = [border_psnr(method(sample), reference(sample)) for sample in takes]
        outer, inner = map(float, np.mean(pairs, axis=0))
        result[name] = Borders(outer, inner)
    return result


def measure_exposure(
    methods: Methods, pictures: Sequence[Rgb8], underexposed_ev: float = EXPOSURE_EV
) -> dict[str, Exposure]:
    """Measure mean PSNR of normal captures, and of underexposed and pushed ones, without noise.

    Args:
        methods: Methods by name.
        pictures: Pictures, each [H, W, 3], uint8, sRGB.
        underexposed_ev: Stops by which the second capture is darker; developing adds them again.
    """
    result = {}
    for name, method in methods.items():
        means = []
        for stops in (0.0, underexposed_ev):
            takes = [take(p, "none", i, stops) for i, p in enumerate(pictures)]
            means.append(float(np.mean([psnr_db(method(s), reference(s)) for s in takes])))
        result[name] = Exposure(*means)
    return result
