"""Decompose activations that a delegate lacks into clamps, exponentials and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.definitions import write_out
from edge_pipeline.compiler.lowering.movement import part
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["ACTIVATIONS", "DecomposeActivations"]

_ATEN = torch.ops.aten
# Above this value softplus(x) equals x up to rounding.
_NEARLY_LINEAR = 14.0
# The square root of 2 / pi.
_ROOT = 0.7978845608028654
_SELU = (1.6732632423543772, 1.0507009873554805)


def _hardsigmoid(x: Tensor) -> Tensor:
    return (x + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0)


def _hardswish(x: Tensor) -> Tensor:
    return x * _hardsigmoid(x)


def _silu(x: Tensor) -> Tensor:
    return x * x.sigmoid()


def _plain_softplus(x: Tensor) -> Tensor:
    return x.relu() + ((-x.abs()).exp() + 1.0).log()


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor | None:
    if threshold < _NEARLY_LINEAR:
        return None
    # Above the threshold torch returns x, and so does this formula up to rounding.
    y = _plain_softplus(x if beta == 1.0 else x * float(beta))
    return y if beta == 1.0 else y * (1.0 / float(beta))


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor | None:
    if approximate == "none":
        return None
    return x * 0.5 * ((x + x * x * x * 0.044715) * _ROOT).tanh() + x * 0.5


def _mish(x: Tensor) -> Tensor:
    return x * _plain_softplus(x).tanh()


def _log_sigmoid(x: Tensor) -> Tensor:
    return -_plain_softplus(-x)


def _elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    below = (x.clamp(max=0.0) * float(input_scale)).exp() - 1.0
    return x.relu() * float(scale) + below * (float(alpha) * float(scale))


def _celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    return _elu(x, alpha, 1.0, 1.0 / float(alpha))


def _selu(x: Tensor) -> Tensor:
    return _elu(x, *_SELU)


def _glu(x: Tensor, dim: int = -1) -> Tensor:
    dim %= x.dim()
    half = x.shape[dim] // 2
    return part(x, dim, 0, half) * torch.sigmoid(part(x, dim, half, half))


def _prelu(x: Tensor, weight: Tensor) -> Tensor:
    shape = [1, -1, *[1] * (x.dim() - 2)] if x.dim() > 1 else [-1]
    return x.relu() + x.clamp(max=0.0) * weight.reshape(shape)


def _rrelu(x: Tensor, lower: float = 0.125, upper: float = 1 / 3, *_: Any) -> Tensor:
    return torch.nn.functional.leaky_relu(x, (lower + upper) / 2)


# Each function returns None for settings that it does not support.
ACTIVATIONS: dict[str, tuple[Any, Callable[..., Tensor | None]]] = {
    "gelu": (_ATEN.gelu.default, _gelu),
    "hardsigmoid": (_ATEN.hardsigmoid.default, _hardsigmoid),
    "hardswish": (_ATEN.hardswish.default, _hardswish),
    "silu": (_ATEN.silu.default, _silu),
    "softplus": (_ATEN.softplus.default, _softplus),
    "mish": (_ATEN.mish.default, _mish),
    "log_sigmoid": (_ATEN.log_sigmoid.default, _log_sigmoid),
    "elu": (_ATEN.elu.default, _elu),
    "celu": (_ATEN.celu.default, _celu),
    "selu": (_ATEN.selu.default, _selu),
    "glu": (_ATEN.glu.default, _glu),
    "prelu": (_ATEN.prelu.default, _prelu),
    "rrelu": (_ATEN.rrelu.default, _rrelu),
}


class DecomposeActivations:
    """Rewrite activations by their definitions.

    hardsigmoid(x) -> clamp(x + 3, 0, 6) / 6
    silu(x)        -> x * sigmoid(x), since torch's definition computes in float32 and converts back
    softplus(x)    -> relu(x) + log(exp(-|x|) + 1), which does not overflow
    gelu(x, approximate="tanh") -> tanh and products
    mish(x)        -> x * tanh(softplus(x))
    elu(x)         -> relu(x) + exp(clamp(x, max=0)) - 1;  celu and selu likewise
    glu(x)         -> slices, sigmoid and a product;  prelu -> relu and clamp

    No definition uses a comparison, since no XNNPACK delegate supports masks.

    Args:
        names: Activations to rewrite, keys of `ACTIVATIONS`; the runtime supports the others.
    """

    name = "decompose_activations"
    why = "torch decomposes these activations into comparisons, which no XNNPACK delegate supports"

    def __init__(self, *names: str) -> None:
        self._bodies = dict(ACTIVATIONS[name] for name in names)

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; tensors of dynamic shape are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(*self._bodies):
            operands = [operand for operand in node.args if isinstance(operand, fx.Node)]
            if all(map(has_fixed_shape, operands)) and value_of(node).is_floating_point():
                body = self._bodies[node.target]
                write_out(editor, node, body, f"{node.target} became its definition")
        return editor.finish()
