"""Copies of exported programs with some parts replaced."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from torch import SymInt, Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature

__all__ = ["Parts", "copied_graph", "copied_module", "keep_spare", "rebuilt"]


def copied_graph(program: ExportedProgram) -> fx.Graph:
    """Return a copy of a program's graph with the node names that the signature refers to."""
    graph: fx.Graph = copy.deepcopy(program.graph)
    for new, old in zip(graph.nodes, program.graph.nodes, strict=True):
        new.name = old.name  # copying renames nodes whose name is a Python builtin
    return graph


# Copies that were made of a program and not changed. Most passes change nothing, and copying takes
# most of their time.
_SPARES: WeakKeyDictionary[ExportedProgram, fx.GraphModule] = WeakKeyDictionary()


def copied_module(program: ExportedProgram) -> fx.GraphModule:
    """Return a module with a copy of a program's graph; see `keep_spare`."""
    spare = _SPARES.pop(program, None)
    if spare is not None and _is_copy(spare.graph, program.graph):
        return spare
    module = fx.GraphModule(program.graph_module, copied_graph(program))
    module.meta.update(program.graph_module.meta)
    return module


def keep_spare(program: ExportedProgram, module: fx.GraphModule) -> None:
    """Keep a result of `copied_module` for its next call, unless it is found to be changed then.

    Args:
        program: Program of which `module` is a copy.
        module: The copy, which the caller no longer uses.
    """
    _SPARES[program] = module


def _is_copy(graph: fx.Graph, original: fx.Graph) -> bool:
    """Return whether two graphs have the same nodes, with the same objects as their records."""
    if len(graph.nodes) != len(original.nodes):
        return False
    return all(
        (new.op, new.name, new.target) == (old.op, old.name, old.target)
        and str((new.args, new.kwargs)) == str((old.args, old.kwargs))
        and new.meta.keys() == old.meta.keys()
        and all(new.meta[key] is value for key, value in old.meta.items())
        for new, old in zip(graph.nodes, original.nodes, strict=True)
    )


@dataclass(frozen=True)
class Parts:
    """Replacements for parts of a program; None for a copy of the program's own part."""

    module: fx.GraphModule | None = None
    signature: ExportGraphSignature | None = None
    state: dict[str, Any] | None = None
    constants: dict[str, Any] | None = None
    calls: list[Any] | None = None
    examples: Any = None


def rebuilt(program: ExportedProgram, parts: Parts) -> ExportedProgram:
    """Return a copy of a program with some parts replaced; the two share no container.

    Args:
        program: Program to copy; it is not changed.
        parts: Parts to replace.
    """
    module = program.graph_module if parts.module is None else parts.module
    made = ExportedProgram(
        root=module,
        graph=module.graph,
        graph_signature=parts.signature or copy.deepcopy(program.graph_signature),
        state_dict=dict(program.state_dict if parts.state is None else parts.state),
        range_constraints=copy.deepcopy(program.range_constraints),
        module_call_graph=parts.calls or copy.deepcopy(program.module_call_graph),
        example_inputs=parts.examples or program.example_inputs,
        constants=dict(program.constants if parts.constants is None else parts.constants),
        verifiers=list(program.verifiers),
    )
    if not _has_free_size(made):
        # torch derives guards from all symbols that were ever traced; without a free size, they
        # name inputs that were cut off, and torch's check of inputs fails.
        made._guards_code = []
    return made


def _has_free_size(program: ExportedProgram) -> bool:
    """Return whether a size of an input is free."""
    own = set(program.graph_signature.user_inputs)
    values = [node.meta.get("val") for node in program.graph.nodes if node.name in own]
    tensors = (value for value in values if isinstance(value, Tensor))
    return any(isinstance(size, SymInt) for value in tensors for size in value.shape)
