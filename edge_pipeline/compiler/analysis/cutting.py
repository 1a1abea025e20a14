"""Cut a part out of a program: change its outputs, and turn some of its values into inputs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.utils import _pytree as pytree

from edge_pipeline.compiler.analysis.checks import is_check
from edge_pipeline.compiler.program import Editor, user_inputs
from edge_pipeline.compiler.rebuilding import Parts, copied_graph, rebuilt

__all__ = ["cut_at", "inputs_left"]


def cut_at(
    program: ExportedProgram,
    outputs: Sequence[fx.Node] | None = None,
    *,
    given: Mapping[fx.Node, str] | None = None,
) -> ExportedProgram:
    """Return a program that computes `outputs` and nothing else.

    x -> embed -> pool -> linear -> view (weight) -> conv2d(x, weight)
    cut at `weight` as an output:   x -> embed -> pool -> linear -> view
    cut with `weight` as an input:  x, weight -> conv2d(x, weight)

    Args:
        program: The program to cut; it is not modified.
        outputs: Operators of `program` that return tensors; None for the program's own outputs.
        given: Operators whose tensors become inputs after the program's own inputs, with the names
            of these inputs (letters, digits and underscores). Inputs that are then unused are
            removed, except if `given` is None.
    """
    graph = copied_graph(program)
    by_name = {node.name: node for node in graph.nodes}
    signature = copy.deepcopy(program.graph_signature)
    if outputs is not None:
        _end_at(graph, signature, [by_name[node.name] for node in outputs])
    for node, name in (given or {}).items():
        _take_as_input(graph, signature, by_name[node.name], name)
    _drop_checks(graph)
    graph.eliminate_dead_code()
    if given is not None:
        _drop_unused_inputs(graph, signature)
    module = fx.GraphModule(program.graph_module, graph)
    module.meta.update(program.graph_module.meta)
    calls, examples = _calls(program, signature), _examples(program, graph, signature)
    whole = rebuilt(program, Parts(module, signature, calls=calls, examples=examples))
    return Editor(whole).finish().program  # finish() removes unused weights


def inputs_left(whole: ExportedProgram, part: ExportedProgram) -> list[int]:
    """Return the positions of the inputs of `whole` that `part` still has."""
    kept = user_inputs(part.graph_signature)
    return [i for i, name in enumerate(user_inputs(whole.graph_signature)) if name in kept]


def _drop_checks(graph: fx.Graph) -> None:
    """Erase operators that only check a value; they would keep that value's operators alive."""
    for node in reversed(graph.nodes):
        if is_check(node) and not node.users:
            graph.erase_node(node)


def _end_at(graph: fx.Graph, signature: ExportGraphSignature, outputs: list[fx.Node]) -> None:
    (end,) = [node for node in graph.nodes if node.op == "output"]
    end.args = (tuple(outputs),)
    end.meta["val"] = tuple(node.meta["val"] for node in outputs)
    signature.output_specs[:] = [
        OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(node.name), None) for node in outputs
    ]


def _take_as_input(
    graph: fx.Graph, signature: ExportGraphSignature, node: fx.Node, name: str
) -> None:
    """Replace an operator by a new input."""
    last = [n for n in graph.nodes if n.op == "placeholder"][-1]
    with graph.inserting_after(last):
        given = graph.placeholder(name)
    given.meta["val"] = node.meta["val"]
    node.replace_all_uses_with(given)
    signature.input_specs.append(
        InputSpec(InputKind.USER_INPUT, TensorArgument(given.name), target=None)
    )
    for spec in signature.output_specs:
        if spec.arg.name == node.name:
            spec.arg = TensorArgument(given.name)


def _drop_unused_inputs(graph: fx.Graph, signature: ExportGraphSignature) -> None:
    """Erase the inputs that nothing uses."""
    unused = {n.name: n for n in graph.nodes if n.op == "placeholder" and not n.users}
    gone = [name for name in user_inputs(signature) if name in unused]
    for name in gone:
        graph.erase_node(unused[name])
    signature.input_specs[:] = [s for s in signature.input_specs if s.arg.name not in gone]


def _examples(
    program: ExportedProgram, graph: fx.Graph, signature: ExportGraphSignature
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Return example inputs in torch's format: the program's own, and zeros for new inputs."""
    if program.example_inputs is None:
        return None
    own = dict(zip(user_inputs(program.graph_signature), program.example_inputs[0], strict=True))
    values = {node.name: node.meta.get("val") for node in graph.nodes if node.op == "placeholder"}

    def example(name: str) -> Any:
        value = values[name]
        return torch.zeros(tuple(map(_example_size, value.shape)), dtype=value.dtype)

    names = user_inputs(signature)
    return tuple(own[name] if name in own else example(name) for name in names), {}


def _example_size(size: int | torch.SymInt) -> int:
    """Return an example's size; int() would fix a free size in all programs that share it."""
    return size if isinstance(size, int) else int(size.node.hint)


def _calls(program: ExportedProgram, signature: ExportGraphSignature) -> list[Any]:
    """Return the module call graph, whose first entry is the program's own call."""
    first, *others = copy.deepcopy(program.module_call_graph)
    if first.signature is None:
        return [first, *others]
    # As in a decomposed program, no tensor is named here, so that passes may replace tensors.
    names = user_inputs(signature)
    taken = pytree.tree_structure((tuple(0 for _ in names), {}))
    returned = pytree.tree_structure(tuple(0 for _ in signature.output_specs))
    own = replace(
        first.signature,
        inputs=[],
        outputs=[],
        in_spec=taken,
        out_spec=returned,
        forward_arg_names=names,
    )
    return [replace(first, signature=own), *others]
