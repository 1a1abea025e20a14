"""Decompose attention into batched products and a softmax."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.program import Editor, Result, layer_of, value_of

__all__ = ["DecomposeAttention"]

_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
_PLACES = ("attn_mask", "dropout_p", "is_causal")


class DecomposeAttention:
    """Rewrite attention as products of tensors with three axes.

    attention(q [..., L, E], k, v, mask) -> bmm(softmax(bmm(q * scale, k^T) + mask), v)

    A boolean mask must be a constant; it becomes zeros and minus infinities.
    """

    name = "decompose_attention"
    why = "delegates support its parts, but not the expansions in torch's own decomposition"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; dropout, grouped heads and computed boolean masks stay."""
        editor = Editor(program)
        for node in editor.calls(_ATTENTION):
            reason = _decompose(editor, node)
            if reason:
                note = f"attention was not rewritten, since {reason}"
                editor.notes.append(f"{layer_of(node)}: {note}")
        return editor.finish()


def _decompose(editor: Editor, node: fx.Node) -> str:
    """Rewrite the node; return the reason if it cannot be rewritten, otherwise an empty string."""
    operands = [operand for operand in node.args[:3] if isinstance(operand, fx.Node)]
    given = dict(zip(_PLACES, node.args[3:], strict=False)) | dict(node.kwargs)
    query, key = (value_of(operand) for operand in operands[:2])
    heads = query.shape[:-2]
    if not all(map(has_fixed_shape, operands)):
        return "its shape is dynamic"
    if given.get("dropout_p") or given.get("enable_gqa") or key.shape[:-2] != heads:
        return "it has dropout or grouped heads"
    scale: Any = given.get("scale")
    scale = float(query.shape[-1]) ** -0.5 if scale is None else float(scale)
    mask = _mask(editor, given, query, key)
    if isinstance(mask, str):
        return mask
    operands += [] if mask is None else [mask]
    shape, scores = value_of(node).shape, (*heads, query.shape[-2], key.shape[-2])

    def products(q: Tensor, k: Tensor, v: Tensor, *masks: Tensor) -> Tensor:
        q, k, v = (x.reshape(-1, *x.shape[-2:]) for x in (q, k, v))
        s = torch.bmm(q * scale, k.transpose(1, 2))
        if masks:
            s = (s.reshape(scores) + masks[0]).reshape(s.shape)
        return torch.bmm(torch.softmax(s, -1), v).reshape(shape)

    editor.replace(node, products, operands, "attention became batched products")
    return ""


def _mask(
    editor: Editor, given: dict[str, Any], query: Tensor, key: Tensor
) -> fx.Node | str | None:
    """Return the addend of the scores, None without one, or the reason why it is not supported."""
    if given.get("is_causal"):
        allowed = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
        return editor.add_constant(_as_addend(allowed, query.dtype), "causal_mask")
    mask = given.get("attn_mask")
    if not isinstance(mask, fx.Node) or value_of(mask).is_floating_point():
        return mask if isinstance(mask, fx.Node) else None
    constant = editor.constant(mask)
    if constant is None:
        return "its boolean mask is computed"
    return editor.add_constant(_as_addend(constant, query.dtype), "mask")


def _as_addend(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, float("-inf"))
