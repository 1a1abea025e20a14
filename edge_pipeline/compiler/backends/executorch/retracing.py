"""Lowering to ExecuTorch without doing over what was just done.

ExecuTorch's lowering of one program traces its graph anew about sixty times: each of its passes
ends with a tracing, whether or not it changed anything, and before that the program is decomposed
three times. A graph of 1,400 nodes spends most of 40 s there. Inside `brief()`, four things are
left out, none of which changes what comes out (the tests hold the bytes to be the same):

- tracing a graph that is, node for node, what a tracing by a pass that hooks into nothing gave;
- decomposing a program that has no operator to decompose;
- exporting the patterns of attention and resizing, where no operator of theirs occurs;
- copying where each node came from, a history that grows with every tracing; it is never changed,
  so that copies may share it.
"""

from __future__ import annotations

import contextlib
import hashlib
import operator
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock
from weakref import WeakSet

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.fx.traceback import NodeSource

__all__ = ["brief"]

# What a pass may override to act while the graph is traced.
_HOOKS = (
    "ExportInterpreter",
    "ExportTracer",
    "_fx",
    "call_cond",
    "call_delegate",
    "call_getitem",
    "call_map",
    "call_operator",
    "call_scan",
    "call_submodule",
    "call_sym",
    "call_while",
    "inputs",
    "output",
    "placeholder",
)


@contextlib.contextmanager
def brief() -> Iterator[None]:
    """Leave out repeated work while this lasts; for one thread at a time."""
    from executorch.backends.xnnpack._passes import convert_to_sdpa, convert_to_upsample_bilinear2d
    from executorch.exir import pass_base

    base: Any = pass_base._ExportPassBase
    attention: Any = convert_to_sdpa.ConvertToSDPAPass
    resizing: Any = convert_to_upsample_bilinear2d.ConvertToUpsampleBilinear2d
    with (
        mock.patch.object(NodeSource, "__deepcopy__", _shared, create=True),
        mock.patch.object(base, "call", _traced_once(base.call, pass_base.ExportPass)),
        mock.patch.object(attention, "call", _searched("softmax", attention, pass_base.ExportPass)),
        mock.patch.object(resizing, "call", _searched("index", resizing, pass_base.ExportPass)),
        mock.patch.object(
            ExportedProgram,
            "run_decompositions",
            _decomposed_once(ExportedProgram.run_decompositions),
        ),
    ):
        yield


def _shared(source: NodeSource, memo: dict[int, Any]) -> NodeSource:
    return source


def _traced_once(original: Callable[..., Any], plain: type) -> Callable[..., Any]:
    """`ExportPass.call` that gives back a graph which it would only write down again."""
    traced: set[str] = set()

    def call(self: Any, module: fx.GraphModule) -> Any:
        if any(getattr(type(self), name) is not getattr(plain, name) for name in _HOOKS):
            return original(self, module)
        if _fingerprint(module.graph) in traced:
            from torch.fx.passes.infra.pass_base import PassResult

            return PassResult(graph_module=module, modified=True)
        result = original(self, module)
        traced.add(_fingerprint(result.graph_module.graph))
        traced.discard("")
        return result

    return call


def _searched(anchor: str, searching: Any, plain: Any) -> Callable[..., Any]:
    """A pass that exports and looks for patterns, run only where an operator of theirs occurs."""
    original = searching.call

    def call(self: Any, module: fx.GraphModule) -> Any:
        if any(anchor in str(node.target) for node in module.graph.nodes):
            return original(self, module)
        return plain.call(self, module)

    return call


def _fingerprint(graph: fx.Graph) -> str:
    """The graph's nodes, with names, operands, and what they give; empty if it has subgraphs."""
    digest = hashlib.sha256()
    for node in graph.nodes:
        if node.op not in ("placeholder", "call_function", "output"):
            return ""
        line = f"{node.name}|{node.target}|{node.args}|{node.kwargs}|{_given(node.meta.get('val'))}"
        digest.update(line.encode())
    return digest.hexdigest()


def _given(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype}{tuple(value.shape)}{value.stride()}"
    if isinstance(value, tuple | list):
        return ",".join(map(_given, value))
    return str(value)


def _decomposed_once(original: Callable[..., ExportedProgram]) -> Callable[..., ExportedProgram]:
    """`run_decompositions` that gives back a program in which nothing is to be decomposed."""
    # ExecuTorch writes into what this gives back. So only programs made here are given back with
    # a table; with none, a true decomposition follows.
    made: WeakSet[ExportedProgram] = WeakSet()

    def run(self: ExportedProgram, decomp_table: Any = None, **options: Any) -> ExportedProgram:
        known = decomp_table == {} or self in made
        if decomp_table is not None and not options and known and _settled(self, decomp_table):
            return self
        program = original(self, decomp_table, **options)
        made.add(program)
        return program

    return run


def _settled(program: ExportedProgram, table: Any) -> bool:
    """Whether no operator of `program` would be decomposed by `table`, or made functional."""
    targets = {node.target for node in program.graph.nodes if node.op == "call_function"}
    kinds = {node.op for node in program.graph.nodes}
    return kinds <= {"placeholder", "call_function", "output"} and all(
        _final(target, table) for target in targets if target is not operator.getitem
    )


def _final(target: Any, table: Any) -> bool:
    from torch._export.utils import _is_preservable_cia_op

    if not isinstance(target, torch._ops.OpOverload) or target in table:
        return False
    composite = target._can_decompose()
    return not target._schema.is_mutable and (not composite or _is_preservable_cia_op(target))
