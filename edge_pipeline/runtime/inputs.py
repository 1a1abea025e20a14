"""Random inputs for a program, within the sizes and ranges in its manifest."""

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

# Largest ratio of a free size to the reference's; memory grows with its square.
_LARGEST = 1.5
# A picture is the mean of fields with these numbers of cells per side, plus noise of _GRAIN.
_FIELDS, _GRAIN = (2, 5, 16), 0.05
# Standard deviation, as a share of the mean, if all values of the reference are the same.
_SPREAD = 0.1
# Exponents for dark, unchanged and bright pictures.
_GAMMAS, _VARIED_SEED = (4.0, 1.0, 0.25), 20240306


def random_inputs(
    spec: ProgramSpec,
    reference: Mapping[str, Array],
    rng: np.random.Generator,
    *,
    kind: Kind,
    minimum: int = 1,
) -> dict[str, Array]:
    """Return random inputs by name, different at every call.

    Tensors whose range is known are `noise` (drawn uniformly from the range) or a `picture` (smooth
    fields with a little noise within the range, similar to an int8 calibration set). Others have a
    normal distribution with the mean and the standard deviation of the reference, or a tenth of the
    mean if all values of the reference are the same. Maps in uint8 and int8 without a known range
    have that of the reference. Other integers and booleans are drawn uniformly.

    Args:
        spec: The program.
        reference: Reference inputs of the program, by name.
        rng: Random generator.
        kind: Kind of the tensors whose range is known.
        minimum: Least height and width of the first input, if they are free.
    """
    sizes = _draw_sizes(spec, reference, rng, minimum)
    return {
        tensor.name: _draw(tensor, tensor.sized(sizes), reference[tensor.name], rng, kind)
        for tensor in spec.inputs
    }


def varied_inputs(spec: ProgramSpec, reference: Mapping[str, Array]) -> list[dict[str, Array]]:
    """Return three sets of inputs with the reference's shapes, the same at every call.

    Tensors whose range is known, and maps in uint8 and int8, are a dark, a medium and a bright
    picture within the range. Others are drawn as in `random_inputs`.

    Args:
        spec: The program.
        reference: Reference inputs of the program, by name.
    """
    sets: list[dict[str, Array]] = []
    for index, gamma in enumerate(_GAMMAS):
        rng = np.random.default_rng([_VARIED_SEED, index])
        drawn: dict[str, Array] = {}
        for tensor in spec.inputs:
            value = _draw(tensor, reference[tensor.name].shape, reference[tensor.name], rng)
            if _is_byte_map(value) or (tensor.range is not None and value.dtype.kind == "f"):
                low, high = _span(tensor, reference[tensor.name])
                unit = np.clip((value - low) / ((high - low) or 1.0), 0, 1)
                value = _as_type(value.dtype, low + (high - low) * unit**gamma)
            drawn[tensor.name] = value
        sets.append(drawn)
    return sets


def _draw_sizes(
    spec: ProgramSpec, reference: Mapping[str, Array], rng: np.random.Generator, minimum: int
) -> dict[str, int]:
    """Draw values of the free sizes, from the least valid size to 1.5 times the reference's."""
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
    if _is_byte_map(reference):
        low, high = _span(tensor, reference)
        unit = rng.random(shape) if kind == "noise" else _picture(shape, rng)
        return _as_type(reference.dtype, low + (high - low) * unit)
    if reference.dtype.kind != "f":
        return _drawn_whole(tensor, shape, reference, rng)
    if tensor.range is None:
        mean = float(reference.mean())
        # A tenth of the mean for a constant reference, so that the sign probably stays.
        spread = float(reference.std()) or _SPREAD * abs(mean) or 1.0
        return rng.normal(mean, spread, shape).astype(np.float32)
    low, high = tensor.range
    unit = rng.random(shape) if kind == "noise" or len(shape) < 2 else _picture(shape, rng)
    return (low + (high - low) * unit).astype(np.float32)


def _is_byte_map(value: Array) -> bool:
    """Return whether an array may be a picture in uint8 or int8."""
    return value.dtype.kind in "iu" and value.dtype.itemsize == 1 and value.ndim > 1


def _span(tensor: TensorSpec, reference: Array) -> tuple[float, float]:
    """Return the declared range of a tensor, or that of its reference."""
    return tensor.range or (float(reference.min()), float(reference.max()))


def _as_type(dtype: np.dtype[Any], value: NDArray[np.float64]) -> Array:
    return (value if dtype.kind == "f" else value.round()).astype(dtype)


def _drawn_whole(
    tensor: TensorSpec, shape: tuple[int, ...], reference: Array, rng: np.random.Generator
) -> Array:
    """Draw integers or booleans uniformly from the range, or from the reference's range."""
    low, high = tensor.range or (int(reference.min()), int(reference.max()))
    return rng.integers(int(low), int(high), shape, endpoint=True).astype(reference.dtype)


def _picture(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw smooth fields over the last two axes with a little noise, in [0, 1]."""
    *leading, height, width = shape
    total = np.zeros(shape)
    for cells in _FIELDS:
        coarse = rng.random((*leading, cells, cells))
        total += _stretched(_stretched(coarse, height, -2), width, -1)
    noisy = total / len(_FIELDS) + _GRAIN * rng.standard_normal(shape)
    return np.asarray(noisy.clip(0, 1))


def _stretched(values: NDArray[np.float64], size: int, axis: int) -> NDArray[np.float64]:
    """Interpolate an axis linearly to `size` points; the first and last points stay."""
    moved = np.moveaxis(values, axis, -1)
    at = np.linspace(0, moved.shape[-1] - 1, size)
    left = np.minimum(at.astype(int), moved.shape[-1] - 2)
    share = at - left
    mixed = moved[..., left] * (1 - share) + moved[..., left + 1] * share
    return np.moveaxis(mixed, -1, axis)
