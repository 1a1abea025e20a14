"""MIL's operators that rearrange or resize arrays: shapes, axes, slices, joins, resizing.

Source: see `edge_pipeline.runtime.mil.ops`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_pipeline.runtime.mil.ops import NO, YES, Array, Operator

__all__ = ["OPERATORS"]


def _sizes(values: Array | Sequence[int]) -> list[int]:
    return [int(value) for value in np.asarray(values).reshape(-1)]


def _reshape(x: Array, shape: Array) -> Array:
    sizes = _sizes(shape)
    if len(sizes) == x.ndim:  # only in this case a zero means the size of x
        sizes = [own if size == 0 else size for own, size in zip(x.shape, sizes, strict=True)]
    return x.reshape(sizes)


def _expand_dims(x: Array, axes: Array) -> Array:
    return np.expand_dims(x, tuple(_sizes(axes)))


def _squeeze(x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, None if axes is None else tuple(_sizes(axes)))


def _flags(mask: Array | None, rank: int) -> list[bool]:
    return [False] * rank if mask is None else [bool(value) for value in mask]


def _slice_by_index(
    x: Array,
    begin: Array,
    end: Array,
    stride: Array | None = None,
    begin_mask: Array | None = None,
    end_mask: Array | None = None,
    squeeze_mask: Array | None = None,
) -> Array:
    steps = [1] * x.ndim if stride is None else _sizes(stride)
    no_begin, no_end = _flags(begin_mask, x.ndim), _flags(end_mask, x.ndim)
    single = _flags(squeeze_mask, x.ndim)
    index: list[int | slice] = []
    for axis, (first, last) in enumerate(zip(_sizes(begin), _sizes(end), strict=True)):
        if single[axis]:
            index.append(first)
            continue
        low = None if no_begin[axis] else first
        high = None if no_end[axis] else last
        index.append(slice(low, high, steps[axis]))
    return np.asarray(x[tuple(index)])


def _slice_by_size(x: Array, begin: Array, size: Array) -> Array:
    index = tuple(
        slice(first, None if count == -1 else first + count)
        for first, count in zip(_sizes(begin), _sizes(size), strict=True)
    )
    return np.asarray(x[index])


def _split(
    x: Array,
    axis: Array,
    num_splits: Array | None = None,
    split_sizes: Array | None = None,
) -> tuple[Array, ...]:
    if split_sizes is None:
        if num_splits is None:
            raise ValueError("split requires num_splits or split_sizes")
        return tuple(np.split(x, int(num_splits), int(axis)))
    return tuple(np.split(x, np.cumsum(_sizes(split_sizes))[:-1], int(axis)))


def _concat(values: Sequence[Array], axis: Array, interleave: Array = NO) -> Array:
    if interleave:
        raise ValueError("concat with interleave is not supported")
    return np.concatenate(values, int(axis))


def _gather(
    x: Array,
    indices: Array,
    axis: Array | int = 0,
    batch_dims: Array | int = 0,
    validate_indices: Array = NO,
) -> Array:
    if int(batch_dims):
        raise ValueError("gather with batch_dims is not supported")
    return np.take(x, indices.astype(np.int64), int(axis))


def _crop(x: Array, crop_height: Array, crop_width: Array) -> Array:
    (top, bottom), (left, right) = _sizes(crop_height), _sizes(crop_width)
    height, width = x.shape[-2:]
    return np.asarray(x[..., top : height - bottom, left : width - right])


def _pixel_shuffle(x: Array, upscale_factor: Array) -> Array:
    n, c, h, w = x.shape
    f = int(upscale_factor)
    # [N, C*f*f, H, W] -> [N, C, f, f, H, W] -> [N, C, H, f, W, f]
    blocks = x.reshape(n, c // (f * f), f, f, h, w).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(n, c // (f * f), h * f, w * f)


def _pixel_unshuffle(x: Array, downscale_factor: Array) -> Array:
    n, c, h, w = x.shape
    f = int(downscale_factor)
    # [N, C, H/f, f, W/f, f] -> [N, C, f, f, H/f, W/f]
    blocks = x.reshape(n, c, h // f, f, w // f, f).transpose(0, 1, 3, 5, 2, 4)
    return blocks.reshape(n, c * f * f, h // f, w // f)


def _depth_to_space(x: Array, block_size: Array) -> Array:
    n, c, h, w = x.shape
    f = int(block_size)
    # Here the position within a block is the outer part of the channel index.
    blocks = x.reshape(n, f, f, c // (f * f), h, w).transpose(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // (f * f), h * f, w * f)


def _space_to_depth(x: Array, block_size: Array) -> Array:
    n, c, h, w = x.shape
    f = int(block_size)
    blocks = x.reshape(n, c, h // f, f, w // f, f).transpose(0, 3, 5, 1, 2, 4)
    return blocks.reshape(n, c * f * f, h // f, w // f)


_MODES = {"reflect": "reflect", "replicate": "edge", "constant": "constant"}


def _pad(x: Array, pad: Array, mode: str = "constant", constant_val: Array | float = 0.0) -> Array:
    """Pad the last axes; `pad` has an amount before and after for each of them."""
    if mode not in _MODES:
        raise ValueError(f"pad has no mode {mode!r}")
    amounts = np.asarray(pad).reshape(-1, 2)
    widths = [(0, 0)] * (x.ndim - len(amounts)) + [(int(a), int(b)) for a, b in amounts]
    if mode == "constant":
        return np.pad(x, widths, constant_values=np.asarray(constant_val).item())
    if mode == "reflect":
        return np.pad(x, widths, "reflect")
    return np.pad(x, widths, "edge")


def _grid(size: int, count: int, rule: str) -> Array:
    """Return the positions of `count` samples on an axis of `size` points."""
    i = np.arange(count, dtype=np.float64)
    if rule in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if count == 1:
            at = np.array([(size - 1) / 2 if rule == "ALIGN_CORNERS" else 0.0])
        else:
            at = i * (size - 1) / (count - 1)
    elif rule == "UNALIGN_CORNERS":
        at = (i + 0.5) * size / count - 0.5
    elif rule == "DEFAULT":
        at = i * size / count
    elif rule == "OFFSET_CORNERS":
        at = (i + 0.5) * max(1, size - 1) / count
    else:
        raise ValueError(f"unknown sampling mode {rule!r} of resizing")
    return np.asarray(np.clip(at, 0, size - 1))


def _linear(x: Array, axis: int, count: int, rule: str) -> Array:
    at = _grid(x.shape[axis], count, rule)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    shape = [1] * x.ndim
    shape[axis] = -1
    weight = (at - low).astype(np.float32).reshape(shape)
    below, above = np.take(x, low, axis), np.take(x, high, axis)
    return np.asarray(below + weight * (above - below))


def _bilinear(x: Array, height: int, width: int, rule: str) -> Array:
    return _linear(_linear(x, x.ndim - 2, height, rule), x.ndim - 1, width, rule)


def _nearest(x: Array, height: int, width: int) -> Array:
    for axis, count in ((x.ndim - 2, height), (x.ndim - 1, width)):
        size = x.shape[axis]
        x = np.take(x, np.arange(count) * size // count, axis)
    return np.asarray(x)


def _scaled(size: int, factor: Array | float) -> int:
    # Factors are float32, and in float32 96 / 14 * 14 may be less than 96.
    return int(np.floor(np.float32(size) * np.float32(factor)))


def _upsample_bilinear(
    x: Array,
    scale_factor_height: Array | float = 1,
    scale_factor_width: Array | float = 1,
    align_corners: Array = YES,
    half_pixel_centers: Array | None = None,
) -> Array:
    corners = bool(align_corners)
    halves = not corners if half_pixel_centers is None else bool(half_pixel_centers)
    if corners and halves:
        raise ValueError("upsample_bilinear cannot have both align_corners and half_pixel_centers")
    rule = "STRICT_ALIGN_CORNERS" if corners else "UNALIGN_CORNERS" if halves else "DEFAULT"
    height = _scaled(x.shape[-2], scale_factor_height)
    return _bilinear(x, height, _scaled(x.shape[-1], scale_factor_width), rule)


def _resize_bilinear(
    x: Array,
    target_size_height: Array | int = 1,
    target_size_width: Array | int = 1,
    sampling_mode: str = "DEFAULT",
) -> Array:
    return _bilinear(x, int(target_size_height), int(target_size_width), sampling_mode)


def _resize(
    x: Array,
    shape: Array,
    resized_dims: Array,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Array:
    sizes = _sizes(shape)[-int(resized_dims) :]
    for axis, count in zip(range(x.ndim - len(sizes), x.ndim), sizes, strict=True):
        size = x.shape[axis]
        if interpolation_mode == "LINEAR":
            x = _linear(x, axis, count or size, sampling_mode)
        elif sampling_mode == "DEFAULT":
            x = np.take(x, np.arange(count or size) * size // (count or size), axis)
        else:
            raise ValueError(
                f"resize to the nearest point does not support the mode {sampling_mode!r}"
            )
    return x


OPERATORS: dict[str, Operator] = {
    "concat": _concat,
    "crop": _crop,
    "depth_to_space": _depth_to_space,
    "expand_dims": _expand_dims,
    "fill": lambda shape, value=0.0: np.full(_sizes(shape), value),
    "gather": _gather,
    "pad": _pad,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "reshape": _reshape,
    "resize": _resize,
    "resize_bilinear": _resize_bilinear,
    "resize_nearest_neighbor": lambda x, target_size_height, target_size_width: _nearest(
        x, int(target_size_height), int(target_size_width)
    ),
    "reverse": lambda x, axes=None: np.flip(x, None if axes is None else tuple(_sizes(axes))),
    "shape": lambda x: np.array(x.shape, np.int32),
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "space_to_depth": _space_to_depth,
    "split": _split,
    "squeeze": _squeeze,
    "stack": lambda values, axis: np.stack(values, int(axis)),
    "tile": lambda x, reps: np.tile(x, _sizes(reps)),
    "transpose": lambda x, perm: x.transpose(_sizes(perm)),
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": lambda x, scale_factor_height=1, scale_factor_width=1: _nearest(
        x, _scaled(x.shape[-2], scale_factor_height), _scaled(x.shape[-1], scale_factor_width)
    ),
}
