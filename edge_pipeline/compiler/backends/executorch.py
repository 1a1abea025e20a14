"""ExecuTorch with the XNNPACK delegate: a `.pte` of one size, all of it delegated."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from torch import fx
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked, Delegation
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.backends.base import Emitted, Order
from edge_pipeline.compiler.program import layer_of
from edge_pipeline.errors import CompileError, DelegationError
from edge_pipeline.optional import require as require_module

__all__ = ["FREE_SIZES", "PRECISIONS", "checked", "emit", "require"]

FREE_SIZES = False
PRECISIONS: tuple[Precision, ...] = ("fp32",)

_DELEGATE = "XnnpackBackend"
_LOGGERS = "executorch.backends.xnnpack.partition"


def require() -> dict[str, str]:
    """Versions of ExecuTorch and torch.

    Raises:
        MissingExtraError: ExecuTorch is not installed.
    """
    # torchao, which comes with it, registers an enum in a way that torch warns its makers of.
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
    require_module("executorch.exir", "executorch", "compiling for ExecuTorch")
    return {"executorch": version("executorch"), "torch": version("torch")}


def checked() -> Checked:
    """The wheel that writes also runs."""
    return "verified"


def emit(program: ExportedProgram, order: Order) -> Emitted:
    """Lower `program` to XNNPACK and assert, operator by operator, that all of it went there.

    ExecuTorch knows inputs and outputs by position; the names are not written.

    Args:
        program: of fixed sizes.
        order: how; see `Order`.

    Raises:
        DelegationError: an operator stays outside; its layer and the partitioner's reason are
            named.
        CompileError: ExecuTorch itself fails.
    """
    require()
    import executorch.exir as exir
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    with _refusals() as refused:
        try:
            edge = exir.to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            delegation = _delegation(edge.exported_program().graph_module, refused)
            data = bytes(edge.to_executorch().buffer)
        except (RuntimeError, ValueError, KeyError, IndexError, AssertionError) as error:
            first = str(error).strip().splitlines() or [type(error).__name__]
            raise CompileError(f"ExecuTorch cannot lower the program: {first[0]}") from error
    file = f"{order.name}.pte"
    return Emitted(file, {file: data}, delegation)


@contextmanager
def _refusals() -> Iterator[dict[str, str]]:
    """Why the partitioner refuses a node, by the node's name, gathered from its own log."""
    reasons: dict[str, str] = {}

    class Gather(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            node, reason = (getattr(record.msg, key, None) for key in ("node", "reason"))
            if isinstance(node, fx.Node) and reason:
                reasons[node.name] = str(reason)

    handler = Gather(logging.DEBUG)
    loggers = [logging.getLogger(n) for n in logging.root.manager.loggerDict if _LOGGERS in n]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False  # at this level its messages would fill the terminal
    try:
        yield reasons
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


def _delegation(module: fx.GraphModule, refused: dict[str, str]) -> Delegation:
    """Count the operators inside the delegates and refuse any that stays outside."""
    inside: Counter[str] = Counter()
    outside: list[fx.Node] = []
    for node in _operators(module.graph):
        if "executorch_call_delegate" in str(node.target):
            handle: Any = node.args[0]
            lowered = getattr(module, handle.target)
            inside += Counter(_name(inner) for inner in _operators(lowered.original_module.graph))
        else:
            outside.append(node)
    if outside:
        # One that was refused explains those that only fed it.
        first = next((node for node in outside if node.name in refused), outside[0])
        reason = refused.get(first.name, "no rule of its partitioner covers it")
        more = f", and {len(outside) - 1} more operators" if len(outside) > 1 else ""
        raise DelegationError(
            f"{layer_of(first)}: the operator {_name(first)} stays outside XNNPACK ({reason})"
            f"{more}, where slow portable kernels would run it; the network needs a pass that "
            "rewrites it"
        )
    return Delegation(delegate=_DELEGATE, delegated=dict(sorted(inside.items())), outside={})


def _operators(graph: fx.Graph) -> Iterator[fx.Node]:
    """What computes: all calls but the unpacking of tuples."""
    for node in graph.nodes:
        if node.op == "call_function" and getattr(node.target, "__name__", "") != "getitem":
            yield node


def _name(node: fx.Node) -> str:
    """`aten.bmm.default` as `bmm`."""
    parts = str(getattr(node.target, "__name__", node.target)).split(".")
    return parts[1] if len(parts) > 2 else parts[0]
