"""Fresh random inputs for a program, within the sizes and ranges that its manifest states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec

__all__ = ["Kind", "random_inputs", "varied_inputs"]

Array = NDArray[Any]
Kind = Literal["noise", "picture"]

# How much larger than the reference's a free size may get; memory grows with its square.
_LARGEST = 1.5
# Cells along the sides of the fields that a picture is the mean of, and its noise.
_FIELDS, _GRAIN = (2, 5, 16), 0.05
# The deviation of values that are all the same in the reference, as a share of it.
_SPREAD = 0.1
# What makes pictures dark, leaves them, and makes them bright.
_GAMMAS, _VARIED_SEED = (4.0, 1.0, 0.25), 20240306


def random_inputs(
    spec: ProgramSpec,
    reference: Mapping[str, Array],
    rng: np.random.Generator,
    *,
    kind: Kind,
    minimum: int = 1,
) -> dict[str, Array]:
    """Inputs by name, another set at every call.

    Tensors whose range is known are `noise` (every value evenly drawn from it) or a `picture`
    (smooth fields and a little noise, within it), which is what ranges for int8 are observed on.
    Others are normal, with the mean and the standard deviation that the reference has, or a
    tenth of the mean if all its values are the same. Whole numbers and booleans are drawn evenly.

    Args:
        spec: the program.
        reference: its reference input.
        rng: draws.
        kind: of tensors with a range.
        minimum: least height and width of the first input where they are free.
    """
    sizes = _draw_sizes(spec, reference, rng, minimum)
    return {
        tensor.name: _draw(tensor, tensor.sized(sizes), reference[tensor.name], rng, kind)
        for tensor in spec.inputs
    }


def varied_inputs(spec: ProgramSpec, reference: Mapping[str, Array]) -> list[dict[str, Array]]:
    """Inputs of the reference's shapes, three sets, the same at every call.

    Tensors whose range is known are dark, middling and bright pictures within it; others are drawn
    as by `random_inputs`.

    Args:
        spec: the program.
        reference: its reference input.
    """
    sets: list[dict[str, Array]] = []
    for index, gamma in enumerate(_GAMMAS):
        rng = np.random.default_rng([_VARIED_SEED, index])
        drawn: dict[str, Array] = {}
        for tensor in spec.inputs:
            value = _draw(tensor, reference[tensor.name].shape, reference[tensor.name], rng)
            if tensor.range is not None and value.dtype.kind == "f":
                low, high = tensor.range
                unit = np.clip((value - low) / (high - low), 0, 1)
                value = (low + (high - low) * unit**gamma).astype(np.float32)
            drawn[tensor.name] = value
        sets.append(drawn)
    return sets


def _draw_sizes(
    spec: ProgramSpec, reference: Mapping[str, Array], rng: np.random.Generator, minimum: int
) -> dict[str, int]:
    """What the free letters stand for: from the least legal size to somewhat over the reference."""
    known: dict[str, int] = {}
    for tensor in spec.inputs:
        tensor.fits(reference[tensor.name].shape, known)
    first = spec.inputs[0]
    drawn = {}
    for letter, size in known.items():
        factor = max(first.factor(letter), 1)
        least = max(1, -(-minimum // factor))
        drawn[letter] = int(rng.integers(least, max(least, int(_LARGEST * size)) + 1))
    return drawn


def _draw(
    tensor: TensorSpec,
    shape: tuple[int, ...],
    reference: Array,
    rng: np.random.Generator,
    kind: Kind = "picture",
) -> Array:
    if reference.dtype.kind != "f":
        return _drawn_whole(tensor, shape, reference, rng)
    if tensor.range is None:
        mean = float(reference.mean())
        # Of a single number, a tenth: it may have to keep its sign.
        spread = float(reference.std()) or _SPREAD * abs(mean) or 1.0
        return rng.normal(mean, spread, shape).astype(np.float32)
    low, high = tensor.range
    unit = rng.random(shape) if kind == "noise" or len(shape) < 2 else _picture(shape, rng)
    return (low + (high - low) * unit).astype(np.float32)


def _drawn_whole(
    tensor: TensorSpec, shape: tuple[int, ...], reference: Array, rng: np.random.Generator
) -> Array:
    """Whole numbers or booleans, evenly drawn from the range, or from the reference's span."""
    low, high = tensor.range or (int(reference.min()), int(reference.max()))
    return rng.integers(int(low), int(high), shape, endpoint=True).astype(reference.dtype)


def _picture(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth fields over the last two axes with a little noise, in [0, 1]."""
    *leading, height, width = shape
    total = np.zeros(shape)
    for cells in _FIELDS:
        coarse = rng.random((*leading, cells, cells))
        total += _stretched(_stretched(coarse, height, -2), width, -1)
    noisy = total / len(_FIELDS) + _GRAIN * rng.standard_normal(shape)
    return np.asarray(noisy.clip(0, 1))


def _stretched(values: NDArray[np.float64], size: int, axis: int) -> NDArray[np.float64]:
    """Linear interpolation of an axis to `size`, its ends kept."""
    moved = np.moveaxis(values, axis, -1)
    at = np.linspace(0, moved.shape[-1] - 1, size)
    left = np.minimum(at.astype(int), moved.shape[-1] - 2)
    share = at - left
    mixed = moved[..., left] * (1 - share) + moved[..., left + 1] * share
    return np.moveaxis(mixed, -1, axis)
