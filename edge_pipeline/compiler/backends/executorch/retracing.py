"""Lowering to ExecuTorch without repeated work.

ExecuTorch's lowering traces a program's graph about sixty times: each of its passes ends with a
tracing, whether or not it changed the graph, and before the passes the program is decomposed three
times. For a graph of 1,400 nodes this takes most of 40 s. Inside `brief()`, four steps are skipped.
This does not change the result (the tests check that the bytes are the same):

- tracing a graph that equals, node for node, the result of a tracing by a pass without hooks;
- decomposing a program without operators to decompose;
- exporting the patterns of attention and resizing, if none of their operators occur;
- copying the origin of each node, a history that grows with every tracing. It is never modified, so
  copies can share it.
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

# Methods that a pass may override to act while the graph is traced.
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
    """Skip repeated work of the lowering in this context; only for one thread at a time."""
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
    """Return an `ExportPass.call` that returns a graph unchanged if tracing would reproduce it."""
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
    """Return a pass's `call` that exports and searches its patterns only if `anchor` occurs."""
    original = searching.call

    def call(self: Any, module: fx.GraphModule) -> Any:
        if any(anchor in str(node.target) for node in module.graph.nodes):
            return original(self, module)
        return plain.call(self, module)

    return call


def _fingerprint(graph: fx.Graph) -> str:
    """Return a hash of the nodes' names, operands and results; empty if the graph has subgraphs."""
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
    """Return a `run_decompositions` that returns a decomposed program unchanged."""
    # ExecuTorch modifies the returned program. So a program that was not made here is returned
    # unchanged only for an empty table, after which an actual decomposition follows.
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
    """Return whether all operators are functional, and `table` decomposes none of them."""
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
