"""MIL's elementwise operators, reductions, normalisation and quantisation.

Every operator is a function whose arguments have the names of MIL's parameters. Half-precision
inputs are passed as float32; the caller rounds the results to the types that the program declares.

Source: the operators' definitions, https://apple.github.io/coremltools/source/coremltools.
converters.mil.mil.ops.defs.html, opsets iOS15 to iOS17.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO", "OPERATORS", "YES", "Array", "Operator"]

Array = NDArray[Any]
Operator = Callable[..., Array | tuple[Array, ...]]

# Booleans are passed as arrays without axes, as all scalars are.
NO: Array = np.zeros((), bool)
YES: Array = np.ones((), bool)


@lru_cache(maxsize=1)
def _erf_table() -> tuple[Array, Array]:
    """Return the error function on a grid of step 2^-13, for linear interpolation within 2e-9."""
    grid = np.linspace(-6, 6, 12 * 8192 + 1)
    return grid, np.array([math.erf(x) for x in grid])


def _erf(x: Array) -> Array:
    return np.interp(x, *_erf_table()).astype(np.float32)


def _gelu(x: Array, mode: str = "EXACT") -> Array:
    if mode == "EXACT":
        return np.asarray(0.5 * x * (1 + _erf(x / math.sqrt(2))))
    if mode == "TANH_APPROXIMATION":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return np.asarray(0.5 * x * (1 + np.tanh(inner)))
    if mode == "SIGMOID_APPROXIMATION":
        return np.asarray(x * _sigmoid(1.702 * x))
    raise ValueError(f"unknown mode {mode!r} of gelu")


def _sigmoid(x: Array) -> Array:
    # Computed with tanh, which does not overflow.
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5)


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(np.float32(0), x))


def _softmax(x: Array, axis: Array | int = -1) -> Array:
    powers = np.exp(x - x.max(int(axis), keepdims=True))
    return np.asarray(powers / powers.sum(int(axis), keepdims=True))


def _prelu(x: Array, alpha: Array) -> Array:
    slope = alpha.reshape(-1, *[1] * (x.ndim - 2))
    return np.where(x > 0, x, slope * x)


def _binary(function: Callable[[Array, Array], Array]) -> Operator:
    return lambda x, y: function(x, y)


def _unary(function: Callable[[Array], Array]) -> Operator:
    return lambda x: function(x)


def _divide(x: Array, y: Array) -> Array:
    return np.asarray(x / y if x.dtype.kind == "f" else np.trunc(x / y))


def _axes(axes: Array | None) -> tuple[int, ...] | None:
    return None if axes is None else tuple(int(axis) for axis in axes)


def _reduction(function: Callable[..., Array]) -> Operator:
    def reduce(x: Array, axes: Array | None = None, keep_dims: Array = NO) -> Array:
        return np.asarray(function(x, axis=_axes(axes), keepdims=bool(keep_dims)))

    return reduce


def _argument(function: Callable[..., Array]) -> Operator:
    def reduce(
        x: Array,
        axis: Array | int = -1,
        keep_dims: Array = NO,
        output_dtype: str = "int32",
    ) -> Array:
        found = np.asarray(function(x, axis=int(axis), keepdims=bool(keep_dims)))
        return found.astype(output_dtype)

    return reduce


def _l2(x: Array, axis: tuple[int, ...] | None, *, keepdims: bool) -> Array:
    return np.asarray(np.sqrt(np.square(x).sum(axis, keepdims=keepdims)))


def _moments(x: Array, axes: Array | None) -> tuple[Array, Array]:
    along = _axes(axes)
    mean = x.mean(along, keepdims=True)
    return mean, np.square(x - mean).mean(along, keepdims=True)


def _per_channel(value: Array | None, like: Array, default: float) -> Array:
    if value is None:
        return np.full(1, default, np.float32)
    return value.reshape(-1, *[1] * (like.ndim - 2))


def _batch_norm(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: Array | float = 1e-5,
) -> Array:
    centred = x - _per_channel(mean, x, 0)
    scale = _per_channel(gamma, x, 1) / np.sqrt(_per_channel(variance, x, 1) + epsilon)
    return np.asarray(centred * scale + _per_channel(beta, x, 0))


def _instance_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, epsilon: Array | float = 1e-5
) -> Array:
    mean, variance = _moments(x, np.arange(2, x.ndim))
    scaled = (x - mean) / np.sqrt(variance + epsilon)
    return np.asarray(scaled * _per_channel(gamma, x, 1) + _per_channel(beta, x, 0))


def _layer_norm(
    x: Array,
    axes: Array | None = None,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: Array | float = 1e-5,
) -> Array:
    mean, variance = _moments(x, axes)
    scaled = (x - mean) / np.sqrt(variance + epsilon)
    if gamma is not None:
        scaled = scaled * gamma
    return np.asarray(scaled if beta is None else scaled + beta)


def _along(values: Array, axis: Array | int | None, like: Array) -> Array:
    """Return a scalar unchanged, or a vector shaped to broadcast along one axis of `like`."""
    if values.ndim == 0 or axis is None:
        return values
    shape = [1] * like.ndim
    shape[int(axis)] = -1
    return values.reshape(shape)


def _quantize(
    input: Array,
    scale: Array,
    output_dtype: str,
    zero_point: Array | None = None,
    axis: Array | None = None,
) -> Array:
    steps = np.rint(input / _along(scale, axis, input))
    if zero_point is not None:
        steps = steps + _along(zero_point, axis, input).astype(np.float32)
    limits = np.iinfo(output_dtype)
    return np.clip(steps, limits.min, limits.max).astype(output_dtype)


def _dequantize(
    input: Array,
    scale: Array,
    zero_point: Array | None = None,
    axis: Array | None = None,
) -> Array:
    steps = input.astype(np.float32)
    if zero_point is not None:
        steps = steps - _along(zero_point, axis, input).astype(np.float32)
    return np.asarray(steps * _along(scale, axis, input))


def _affine_dequantize(
    quantized_data: Array, zero_point: Array, scale: Array, axis: Array
) -> Array:
    return _dequantize(quantized_data, scale, zero_point, axis)


def _blockwise_shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Array:
    def spread(values: Array) -> Array:
        for axis, (size, blocks) in enumerate(zip(data.shape, values.shape, strict=True)):
            values = np.repeat(values, size // blocks, axis)
        return values

    steps = data.astype(np.float32)
    if offset is not None:
        steps = steps - spread(offset).astype(np.float32)
    return np.asarray(steps * spread(scale))


OPERATORS: dict[str, Operator] = {
    "abs": _unary(np.abs),
    "add": _binary(np.add),
    "batch_norm": _batch_norm,
    "cast": lambda x, dtype: x,  # the caller converts the result to its declared type
    "ceil": _unary(np.ceil),
    "clip": lambda x, alpha, beta: np.clip(x, alpha, beta),
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
    "cos": _unary(np.cos),
    "dequantize": _dequantize,
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "equal": _binary(np.equal),
    "erf": _unary(_erf),
    "exp": _unary(np.exp),
    "exp2": _unary(np.exp2),
    "floor": _unary(np.floor),
    "floor_div": _binary(np.floor_divide),
    "gelu": _gelu,
    "greater": _binary(np.greater),
    "greater_equal": _binary(np.greater_equal),
    "identity": lambda x: x,
    "instance_norm": _instance_norm,
    "inverse": lambda x, epsilon=1e-4: 1 / (x + epsilon),
    "layer_norm": _layer_norm,
    "leaky_relu": lambda x, alpha: np.where(x > 0, x, alpha * x),
    "less": _binary(np.less),
    "less_equal": _binary(np.less_equal),
    "log": lambda x, epsilon=1e-45: np.log(x + epsilon),
    "logical_and": _binary(np.logical_and),
    "logical_not": _unary(np.logical_not),
    "logical_or": _binary(np.logical_or),
    "maximum": _binary(np.maximum),
    "minimum": _binary(np.minimum),
    "mod": _binary(np.mod),
    "mul": _binary(np.multiply),
    "not_equal": _binary(np.not_equal),
    "pow": _binary(np.power),
    "prelu": _prelu,
    "quantize": _quantize,
    "real_div": _divide,
    "reduce_argmax": _argument(np.argmax),
    "reduce_argmin": _argument(np.argmin),
    "reduce_l1_norm": _reduction(lambda x, axis, keepdims: np.abs(x).sum(axis, keepdims=keepdims)),
    "reduce_l2_norm": _reduction(_l2),
    "reduce_max": _reduction(np.max),
    "reduce_mean": _reduction(np.mean),
    "reduce_min": _reduction(np.min),
    "reduce_prod": _reduction(np.prod),
    "reduce_sum": _reduction(np.sum),
    "reduce_sum_square": _reduction(
        lambda x, axis, keepdims: np.square(x).sum(axis, keepdims=keepdims)
    ),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "round": _unary(np.rint),
    "rsqrt": lambda x, epsilon=1e-12: 1 / np.sqrt(x + epsilon),
    "select": lambda cond, a, b: np.where(cond, a, b),
    "sigmoid": _unary(_sigmoid),
    "sigmoid_hard": lambda x, alpha=0.2, beta=0.5: np.clip(alpha * x + beta, 0, 1),
    "sign": _unary(np.sign),
    "silu": lambda x: x * _sigmoid(x),
    "sin": _unary(np.sin),
    "softmax": _softmax,
    "softplus": _unary(_softplus),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sqrt": _unary(np.sqrt),
    "square": _unary(np.square),
    "sub": _binary(np.subtract),
    "tanh": _unary(np.tanh),
    "threshold": lambda x, alpha: np.maximum(x, alpha),
}
