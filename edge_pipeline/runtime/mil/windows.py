"""MIL's convolutions, pooling and matrix products.

A convolution is computed as a sum of matrix products over its taps, so that its input is not
unrolled in memory.

Source: see `edge_pipeline.runtime.mil.ops`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from edge_pipeline.runtime.mil.ops import NO, Array, Operator

__all__ = ["OPERATORS"]


class _Window(NamedTuple):
    """Geometry of a kernel that moves over the last axes of a feature map."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]

    def taps(self) -> Iterator[tuple[Any, Any]]:
        """Yield the index of each kernel element, and of the padded map's values that it covers."""
        for tap in itertools.product(*map(range, self.kernel)):
            starts = [t * d for t, d in zip(tap, self.dilations, strict=True)]
            seen = [
                slice(start, start + (size - 1) * stride + 1, stride)
                for start, size, stride in zip(starts, self.sizes, self.strides, strict=True)
            ]
            yield (..., *tap), (..., *seen)

    def padded(self, x: Array, value: float) -> Array:
        """Return the map with its padding, extended to the end of the last window."""
        widths = [(0, 0)] * (x.ndim - len(self.kernel))
        for i, (before, after) in enumerate(self.pads):
            reach = (self.sizes[i] - 1) * self.strides[i] + self._span(i)
            size = x.shape[x.ndim - len(self.kernel) + i]
            widths.append((before, max(after, reach - before - size)))
        return np.pad(x, widths, constant_values=value)

    def _span(self, axis: int) -> int:
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1


def _numbers(values: Array | None, count: int, default: int) -> tuple[int, ...]:
    return (default,) * count if values is None else tuple(int(v) for v in values)


def _pairs(
    kind: str, pad: Array | None, space: tuple[int, ...], strides: tuple[int, ...], span: list[int]
) -> tuple[tuple[int, int], ...]:
    """Return the padding before and after the map, along each axis."""
    if kind == "valid":
        return ((0, 0),) * len(space)
    if kind == "custom":
        amounts = np.zeros(2 * len(space), int) if pad is None else pad
        return tuple((int(a), int(b)) for a, b in np.asarray(amounts).reshape(-1, 2))
    if kind not in ("same", "same_lower"):
        raise ValueError(
            f"unknown padding type {kind!r}; expected valid, custom, same or same_lower"
        )
    pairs = []
    for size, stride, reach in zip(space, strides, span, strict=True):
        whole = max((-(-size // stride) - 1) * stride + reach - size, 0)
        less, more = whole // 2, whole - whole // 2
        pairs.append((less, more) if kind == "same" else (more, less))
    return tuple(pairs)


def _window(
    space: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: Array | None,
    dilations: Array | None,
    pad_type: str,
    pad: Array | None,
    *,
    ceil: bool = False,
) -> _Window:
    rank = len(kernel)
    steps, gaps = _numbers(strides, rank, 1), _numbers(dilations, rank, 1)
    span = [(k - 1) * d + 1 for k, d in zip(kernel, gaps, strict=True)]
    pairs = _pairs(pad_type, pad, space, steps, span)
    sizes = []
    for size, stride, reach, (before, after) in zip(space, steps, span, pairs, strict=True):
        room = size + before + after - reach
        count = (-(-room // stride) if ceil else room // stride) + 1
        if ceil and (count - 1) * stride >= size + before:
            count -= 1  # the last window would cover only padding
        if count < 1:
            raise ValueError(
                f"a window of size {reach} does not fit a padded size of {size + before + after}"
            )
        sizes.append(count)
    return _Window(kernel, steps, gaps, pairs, tuple(sizes))


def _convolve(x: Array, weight: Array, window: _Window, groups: int) -> Array:
    n, outs = x.shape[0], weight.shape[0]
    if x.shape[1] != groups * weight.shape[1] or outs % groups:
        raise ValueError(
            f"weights of shape {weight.shape} in {groups} groups do not fit {x.shape[1]} channels"
        )
    padded = window.padded(x, 0)
    depthwise = weight.shape[1] == 1 and outs == groups
    # [N, C_out, pixels] or, by groups, [N, G, C_out/G, pixels]
    total = np.zeros((n, outs, *window.sizes), np.float32)
    for tap, seen in window.taps():
        view = padded[seen]
        if depthwise:
            total += weight[tap].reshape(-1, *[1] * len(window.kernel)) * view
            continue
        matrix = weight[tap].reshape(groups, outs // groups, -1)
        columns = view.reshape(n, groups, matrix.shape[2], -1)
        total += (matrix @ columns).reshape(total.shape)
    return total


def _with_bias(y: Array, bias: Array | None) -> Array:
    return y if bias is None else np.asarray(y + bias.reshape(-1, *[1] * (y.ndim - 2)))


def _conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Array | None = None,
    pad_type: str = "valid",
    pad: Array | None = None,
    dilations: Array | None = None,
    groups: Array | int = 1,
) -> Array:
    window = _window(x.shape[2:], weight.shape[2:], strides, dilations, pad_type, pad)
    return _with_bias(_convolve(x, weight, window, int(groups)), bias)


def _conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    pad: Array | None = None,
    output_shape: Array | None = None,
    pad_type: str = "valid",
    strides: Array | None = None,
    dilations: Array | None = None,
    groups: Array | int = 1,
) -> Array:
    """Add the kernel, times the value of each input pixel, to the output around that pixel."""
    space, kernel, parts = x.shape[2:], weight.shape[2:], int(groups)
    rank = len(kernel)
    steps, gaps = _numbers(strides, rank, 1), _numbers(dilations, rank, 1)
    span = [(k - 1) * d + 1 for k, d in zip(kernel, gaps, strict=True)]
    full = [(s - 1) * t + r for s, t, r in zip(space, steps, span, strict=True)]
    if pad_type in ("same", "same_lower"):
        sizes = [s * t for s, t in zip(space, steps, strict=True)]
        firsts = [max(f - w, 0) // 2 for f, w in zip(full, sizes, strict=True)]
    else:
        pairs = _pairs(pad_type, pad, space, steps, span)
        sizes = [f - a - b for f, (a, b) in zip(full, pairs, strict=True)]
        firsts = [a for a, _ in pairs]
    if output_shape is not None:
        sizes = [int(size) for size in output_shape[-rank:]]
    room = [max(f, a + w) for f, a, w in zip(full, firsts, sizes, strict=True)]
    n, outs = x.shape[0], weight.shape[1] * parts
    total = np.zeros((n, outs, *room), np.float32)
    columns = x.reshape(n, parts, x.shape[1] // parts, -1)
    window = _Window(kernel, steps, gaps, ((0, 0),) * rank, tuple(space))
    for tap, laid in window.taps():
        matrix = weight[tap].reshape(parts, -1, weight.shape[1]).swapaxes(1, 2)
        total[laid] += (matrix @ columns).reshape(n, outs, *space)
    crop: Any = (..., *[slice(a, a + w) for a, w in zip(firsts, sizes, strict=True)])
    return _with_bias(total[crop], bias)


def _max_pool(
    x: Array,
    kernel_sizes: Array,
    strides: Array | None = None,
    pad_type: str = "valid",
    pad: Array | None = None,
    ceil_mode: Array = NO,
) -> Array:
    kernel = _numbers(kernel_sizes, 0, 1)
    window = _window(x.shape[2:], kernel, strides, None, pad_type, pad, ceil=bool(ceil_mode))
    padded = window.padded(x, -np.inf)
    views = [padded[seen] for _, seen in window.taps()]
    highest = views[0].copy()
    for view in views[1:]:
        np.maximum(highest, view, out=highest)
    return np.asarray(highest)


def _avg_pool(
    x: Array,
    kernel_sizes: Array,
    strides: Array | None = None,
    pad_type: str = "valid",
    pad: Array | None = None,
    exclude_padding_from_average: Array = NO,
    ceil_mode: Array = NO,
) -> Array:
    kernel = _numbers(kernel_sizes, 0, 1)
    window = _window(x.shape[2:], kernel, strides, None, pad_type, pad, ceil=bool(ceil_mode))
    # The mean counts the map and, unless excluded, its padding, but not the extension beyond it.
    counted = np.ones(x.shape[2:], np.float32)
    if not exclude_padding_from_average:
        counted = np.pad(counted, window.pads, constant_values=1)
        bare = window._replace(pads=((0, 0),) * len(kernel))
        counted = bare.padded(counted, 0)
    else:
        counted = window.padded(counted, 0)
    padded = window.padded(x, 0)
    total = np.zeros((*x.shape[:2], *window.sizes), np.float32)
    count = np.zeros(window.sizes, np.float32)
    for _, seen in window.taps():
        total += padded[seen]
        count += counted[seen]
    return np.asarray(total / count)


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    y = x @ weight.T
    return y if bias is None else np.asarray(y + bias)


def _matmul(x: Array, y: Array, transpose_x: Array = NO, transpose_y: Array = NO) -> Array:
    left = x.swapaxes(-1, -2) if transpose_x else x
    right = y.swapaxes(-1, -2) if transpose_y else y
    return np.asarray(left @ right)


OPERATORS: dict[str, Operator] = {
    "avg_pool": _avg_pool,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "linear": _linear,
    "matmul": _matmul,
    "max_pool": _max_pool,
}
