"""Programs cut off in the middle, and all values that a program computes on the way."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind, OutputSpec, TensorArgument
from torch.utils import _pytree as pytree

from edge_pipeline.compiler.program import Editor, constants_of

__all__ = ["all_values", "cut_at", "open_values", "operators_of"]


def operators_of(program: ExportedProgram) -> list[fx.Node]:
    """What computes, in order."""
    return [node for node in program.graph.nodes if node.op == "call_function"]


def open_values(program: ExportedProgram, last: int) -> list[fx.Node]:
    """What the first operators have computed that later ones, or the user, still need.

    Args:
        program: its operators are counted from 0.
        last: the last operator before the cut.

    Returns:
        Those that give float32 tensors, in order; sizes and indices are left out.
    """
    operators = operators_of(program)
    done = set(operators[: last + 1])
    return [node for node in operators[: last + 1] if set(node.users) - done and _is_map(node)]


def _is_map(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.dtype == torch.float32 and value.dim() > 0


def cut_at(program: ExportedProgram, outputs: Sequence[fx.Node]) -> ExportedProgram:
    """The program that gives `outputs` and computes nothing else.

    Args:
        program: it stays as it is.
        outputs: operators of it that give tensors; at least one.
    """
    names = [node.name for node in outputs]
    graph = copy.deepcopy(program.graph)
    for new, old in zip(graph.nodes, program.graph.nodes, strict=True):
        new.name = old.name  # copying renames what is called like a Python builtin
    by_name = {node.name: node for node in graph.nodes}
    (end,) = [node for node in graph.nodes if node.op == "output"]
    end.args = (tuple(by_name[name] for name in names),)
    end.meta["val"] = tuple(by_name[name].meta["val"] for name in names)
    graph.eliminate_dead_code()
    module = fx.GraphModule(program.graph_module, graph)
    module.meta.update(program.graph_module.meta)
    signature = copy.deepcopy(program.graph_signature)
    signature.output_specs[:] = [
        OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(name), None) for name in names
    ]
    whole = ExportedProgram(
        root=module,
        graph=graph,
        graph_signature=signature,
        state_dict=dict(program.state_dict),
        range_constraints=copy.deepcopy(program.range_constraints),
        module_call_graph=_calls(program, names),
        example_inputs=program.example_inputs,
        constants=dict(program.constants),
        verifiers=list(program.verifiers),
    )
    return Editor(whole).finish().program  # without the weights that nothing uses any more


def _calls(program: ExportedProgram, names: Sequence[str]) -> list[Any]:
    """The record of calls, of which the first is the program's own."""
    first, *others = copy.deepcopy(program.module_call_graph)
    if first.signature is None:
        return [first, *others]
    # As decomposing leaves it: outputs are not named here, so that passes may replace them.
    spec = pytree.tree_structure(tuple(0 for _ in names))
    signature = replace(first.signature, outputs=[], out_spec=spec)
    return [replace(first, signature=signature), *others]


class _Keeping(fx.Interpreter):
    """Keeps every tensor; in double precision if asked to, whatever type calls ask for."""

    def __init__(self, module: fx.GraphModule, *, double: bool) -> None:
        super().__init__(module)
        self.kept: dict[str, Tensor] = {}
        self._double = double

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.kept[n.name] = value
        return value

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if self._double:
            args, kwargs = pytree.tree_map(_doubled, (args, kwargs))
        return super().call_function(target, args, kwargs)


def _doubled(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


def all_values(program: ExportedProgram, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Every tensor that the program computes, by its node's name.

    In double precision, so that rounding does not hide what is wrong, or look like it; in the
    program's own where it has an operator that refuses.

    Args:
        program: its user inputs are tensors.
        inputs: one for each of them, in order.
    """
    for double in (True, False):
        constants = constants_of(program)
        given = iter(inputs)
        arguments = [
            constants[spec.arg.name] if spec.arg.name in constants else next(given)
            for spec in program.graph_signature.input_specs
        ]
        if double:
            arguments = [_in_double(value) for value in arguments]
        interpreter = _Keeping(program.graph_module, double=double)
        try:
            with torch.no_grad():
                interpreter.run(*arguments)
        except (RuntimeError, TypeError, NotImplementedError):
            if not double:
                raise
            continue
        break
    return interpreter.kept


def _in_double(value: Tensor) -> Tensor:
    return value.double() if value.dtype == torch.float32 else value
