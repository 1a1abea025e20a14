"""ExecuTorch delegates, and the check of which operators of a program a delegate runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from edge_pipeline.artifact.manifest import Delegation
from edge_pipeline.compiler.analysis.refusals import Refused, refusal
from edge_pipeline.errors import DelegationError

__all__ = ["Delegate", "delegation_of"]

# Remedies by operator, which are more specific than the delegate's own remedy.
_WHOLE_NUMBERS = "compute integers and masks from constants, or compute in floats"
_PRODUCTS = "make its weight a parameter, or write it as a matrix product"
_CASTS = ("_to_dim_order_copy", "_to_copy")
_COMPARISON = "write it with relu, clamp, minimum or maximum"
_REMEDIES = {
    "convolution": _PRODUCTS,
    **dict.fromkeys(("where", "gt", "ge", "lt", "le", "eq", "ne", "sign"), _COMPARISON),
    **dict.fromkeys(("index", "gather", "index_select"), "use constant indices or slices"),
    "pow": "write it as products, or as exp and log",
}


@dataclass(frozen=True)
class Delegate:
    """An ExecuTorch delegate.

    Attributes:
        backend: Name of the delegate in the program and the manifest.
        title: Name of the delegate in messages.
        partitioner: ExecuTorch's partitioner, which selects the delegate's operators.
        loggers: Part of the names of the loggers to which the partitioner reports its reasons.
        remedy: Clause that names a remedy if the delegate rejects an operator.
    """

    backend: str
    title: str
    partitioner: Any
    loggers: str
    remedy: str


def delegation_of(
    module: fx.GraphModule, delegate: Delegate, refused: dict[str, str], allowed: frozenset[str]
) -> Delegation:
    """Count the operators inside and outside the delegate.

    Conversions at the program's inputs and outputs, such as that of a picture in uint8 to floats,
    may always stay outside: they do not cut the program into parts.

    Args:
        module: The lowered graph.
        delegate: The delegate.
        refused: The partitioner's reasons for rejecting nodes, by node name.
        allowed: Names of operators that may stay outside.

    Raises:
        DelegationError: If other operators stay outside; the message names each of them.
    """
    inside: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    strays: list[fx.Node] = []
    for node in _operators(module.graph):
        if "executorch_call_delegate" in str(node.target):
            handle: Any = node.args[0]
            lowered = getattr(module, handle.target)
            inside += Counter(map(_name, _operators(lowered.original_module.graph)))
        elif (name := _name(node)) in allowed or _converts(node):
            outside[name] += 1
        else:
            strays.append(node)
    if strays:
        heading = f"{len(strays)} operators stay outside {delegate.title}"
        raise DelegationError(refusal(heading, [_stray(n, delegate, refused) for n in strays]))
    return Delegation(
        delegate=delegate.backend,
        delegated=dict(sorted(inside.items())),
        outside=dict(sorted(outside.items())),
    )


def _converts(node: fx.Node) -> bool:
    """Return whether a node converts an input, or converts or rounds values that it returns."""
    if _name(node) in _CASTS:
        read = all(source.op == "placeholder" for source in node.all_input_nodes)
        return _changes_type(node) and (read or all(user.op == "output" for user in node.users))
    return _name(node) == "round" and all(
        _name(user) in _CASTS and _converts(user) for user in node.users
    )


def _changes_type(node: fx.Node) -> bool:
    before, after = (n.meta["val"].dtype for n in (node.all_input_nodes[0], node))
    return bool(before != after)


def _stray(node: fx.Node, delegate: Delegate, reasons: dict[str, str]) -> Refused:
    """Return the reason why an operator stays outside, and a remedy."""
    name = _name(node)
    given = [v for n in (node, *node.all_input_nodes) for v in [n.meta.get("val")]]
    kinds = {v.dtype for v in given if isinstance(v, torch.Tensor) and not v.is_floating_point()}
    reason = reasons.get(node.name, "its partitioner has no rule for it")
    if kinds:
        reason = f"it computes in {', '.join(sorted(str(k).removeprefix('torch.') for k in kinds))}"
    problem = (
        f"the operator {name} stays outside {delegate.title} ({reason}), where a slow portable "
        "kernel runs it"
    )
    remedy = _WHOLE_NUMBERS if kinds else _REMEDIES.get(name, delegate.remedy)
    return Refused.of(node, problem, f"{remedy}, or give --allow-outside {name}")


def _operators(graph: fx.Graph) -> Iterator[fx.Node]:
    """Yield the nodes that compute: all calls except the unpacking of tuples."""
    for node in graph.nodes:
        if node.op == "call_function" and getattr(node.target, "__name__", "") != "getitem":
            yield node


def _name(node: fx.Node) -> str:
    """Return the short name of an operator, `bmm` for `aten.bmm.default`."""
    parts = str(getattr(node.target, "__name__", node.target)).split(".")
    return parts[1] if len(parts) > 2 else parts[0]
