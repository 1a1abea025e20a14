"""Decompose arithmetic: rewrite variants of sums, powers and clamps as basic operations."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.lowering.definitions import write_out
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["DecomposeArithmetic"]

_ATEN = torch.ops.aten
_MOST_FACTORS = 64


def _power(x: Tensor, exponent: float) -> Tensor | None:
    if exponent in (0.5, -0.5):
        return x.sqrt() if exponent > 0 else x.rsqrt()
    if exponent != int(exponent):  # zero and negative bases give what pow gives: 0, inf or nan
        return (x.log() * float(exponent)).exp()
    count = abs(int(exponent))
    if not 1 <= count <= _MOST_FACTORS:
        return None
    power = _whole_power(x, count)
    return power if exponent > 0 else power.reciprocal()


def _whole_power(x: Tensor, count: int) -> Tensor:
    """Return the product of `count` factors by repeated squaring."""
    half = _whole_power(x, count // 2) if count > 1 else x
    if count == 1:
        return x
    return half * half * x if count % 2 else half * half


def _below(x: Tensor, limit: Any) -> Tensor | None:
    return None if isinstance(limit, Tensor) else x.clamp(min=float(limit))


def _above(x: Tensor, limit: Any) -> Tensor | None:
    return None if isinstance(limit, Tensor) else x.clamp(max=float(limit))


def _subtracted_from(x: Tensor, other: float, alpha: float = 1) -> Tensor:
    return (-x if alpha == 1 else x * -float(alpha)) + float(other)


# Each function returns None if it cannot write its operator with basic operations.
_BODIES: dict[Any, Callable[..., Tensor | None]] = {
    _ATEN.pow.Tensor_Scalar: _power,
    _ATEN.exp2.default: lambda x: (x * log(2)).exp(),
    _ATEN.square.default: lambda x: x * x,
    _ATEN.log1p.default: lambda x: (x + 1.0).log(),
    _ATEN.expm1.default: lambda x: x.exp() - 1.0,
    _ATEN.clamp_min.default: _below,
    _ATEN.clamp_max.default: _above,
    _ATEN.rsub.Scalar: _subtracted_from,
    _ATEN.addcmul.default: lambda x, a, b, value=1: x + a * b * float(value),
    _ATEN.addcdiv.default: lambda x, a, b, value=1: x + a / b * float(value),
    _ATEN.lerp.Scalar: lambda x, y, weight: x + (y - x) * float(weight),
    _ATEN.lerp.Tensor: lambda x, y, weight: x + (y - x) * weight,
}
_ALPHA = (_ATEN.add.Tensor, _ATEN.sub.Tensor)
_ONE_OVER = _ATEN.reciprocal.default
_POWERS = _ATEN.pow.Tensor_Tensor
_EXPONENTIAL = _ATEN.pow.Scalar


class DecomposeArithmetic:
    """Rewrite arithmetic with the basic operations that delegates support.

    pow(x, 2) -> x * x; pow(x, 0.5) -> sqrt(x); pow(x, -0.5) -> rsqrt(x)
    pow(x, 0.45) -> exp(0.45 * log(x)); pow(2, x) -> exp(log(2) * x)
    pow(x, constant whole numbers) -> products of x, x * x, ... and constant masks
    clamp_min, clamp_max -> clamp; log1p, expm1 -> log, exp
    add(x, y, alpha=a) -> x + y * a; rsub, addcmul, addcdiv, lerp likewise
    reciprocal(x) -> 1 / x, where 1 is a constant tensor
    one_hot(x, n) -> x == constant 0, ..., n - 1, as integers
    where(mask, x, y), masked_fill(x, mask, value) -> products with the constant mask
    """

    name = "decompose_arithmetic"
    why = "delegates support one form of each operation, and leave the others outside"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; integers and computed masks are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(*_BODIES, *_ALPHA, _POWERS, _EXPONENTIAL):
            if not value_of(node).is_floating_point():
                continue
            if node.target is _POWERS:
                _multiply(editor, node)
            elif node.target is _EXPONENTIAL:
                _raise(editor, node)
            elif node.target in _ALPHA:
                _state_factor(editor, node)
            else:
                note = f"{node.target} became plain arithmetic"
                write_out(editor, node, _BODIES[node.target], note)
        for node in editor.calls(_ONE_OVER):  # also those that the loop above wrote
            if value_of(node).is_floating_point():
                _invert(editor, node)
        for node in editor.calls(_ATEN.one_hot.default):
            _compare(editor, node)
        for node in editor.calls(_ATEN.masked_fill.Scalar, _ATEN.where.self):
            if value_of(node).is_floating_point():
                _unmask(editor, node)
        return editor.finish()


def _state_factor(editor: Editor, node: fx.Node) -> None:
    alpha: Any = node.kwargs.get("alpha", 1)
    if alpha == 1 or not all(isinstance(operand, fx.Node) for operand in node.args):
        return
    sign = 1.0 if node.target is _ATEN.add.Tensor else -1.0

    def added(x: Tensor, y: Tensor) -> Tensor:
        return x + y * (float(alpha) * sign)

    operands: Any = list(node.args)
    editor.replace(node, added, operands, f"the factor {alpha} of an addend became a product")


def _multiply(editor: Editor, node: fx.Node) -> None:
    """Write powers with constant whole exponents as products of squares, each with a mask."""
    source, given = node.args
    exponents = editor.constant(given)
    if exponents is None or not bool(((exponents >= 0) & (exponents == exponents.round())).all()):
        return
    whole = exponents.to(torch.int64)
    if int(whole.max()) > _MOST_FACTORS:
        return
    bits = [(whole >> k & 1).to(exponents.dtype) for k in range(int(whole.max()).bit_length())]
    masks = [editor.add_constant(mask, "mask") for bit in bits for mask in (bit, 1 - bit)]

    def product(x: Tensor, *masks: Tensor) -> Tensor:
        result = None
        for chosen, other in zip(masks[::2], masks[1::2], strict=True):
            factor = x * chosen + other
            result = factor if result is None else result * factor
            x = x * x
        return result if result is not None else torch.ones_like(x)

    operands: Any = [source, *masks]
    editor.replace(node, product, operands, "powers became products")


def _raise(editor: Editor, node: fx.Node) -> None:
    """Write a power with a constant base as an exponential."""
    base, source = node.args
    if isinstance(base, int | float) and base > 0:
        factor, operands = log(base), [source]
        note = "a power became an exponential"
        editor.replace(node, lambda x: (x * factor).exp(), operands, note)  # type: ignore[arg-type]


def _compare(editor: Editor, node: fx.Node) -> None:
    """Write a one-hot code as a comparison; torch's own decomposition checks each index."""
    source, count = node.args
    if isinstance(count, int) and count > 0:
        codes = editor.add_constant(torch.arange(count), "codes")
        hot = lambda x, codes: (x.unsqueeze(-1) == codes).to(torch.int64)  # noqa: E731
        operands: Any = [source, codes]
        editor.replace(node, hot, operands, "a one-hot code became a comparison")


def _invert(editor: Editor, node: fx.Node) -> None:
    source: Any = node.args[0]
    shape, dtype = [1] * value_of(source).dim(), value_of(source).dtype
    one = editor.add_constant(torch.ones(shape, dtype=dtype), "one")
    editor.replace(node, lambda x, one: one / x, [source, one], "a reciprocal became a division")


def _unmask(editor: Editor, node: fx.Node) -> None:
    """Write a selection by a constant mask as products with the mask and its complement."""
    filled = node.target is _ATEN.masked_fill.Scalar
    given: Any = node.args[1] if filled else node.args[0]
    mask = editor.constant(given)
    if mask is None:
        return
    dtype = value_of(node).dtype
    chosen = mask.to(dtype)
    if not filled:
        pair: Any = list(node.args[1:])
        ones = [editor.add_constant(m, "mask") for m in (chosen, 1 - chosen)]
        note = "a selection by a constant mask became products"
        editor.replace(node, lambda x, y, m, n: x * m + y * n, [*pair, *ones], note)
        return
    value: Any = node.args[2]
    fill = torch.zeros(mask.shape, dtype=dtype).masked_fill(mask, float(value))
    source: Any = node.args[0]
    addend, kept = (editor.add_constant(m, "mask") for m in (fill, 1 - chosen))
    note = "a fill by a constant mask became a product and a sum"
    editor.replace(node, lambda x, a, k: x * k + a, [source, addend, kept], note)
