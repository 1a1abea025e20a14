"""The intermediate values of a program, and those that are still used after an operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edge_pipeline.compiler.program import constants_of

__all__ = ["all_values", "open_values", "operators_of"]


def operators_of(program: ExportedProgram) -> list[fx.Node]:
    """Return the nodes that call operators, in order."""
    return [node for node in program.graph.nodes if node.op == "call_function"]


def open_values(program: ExportedProgram, last: int) -> list[fx.Node]:
    """Return the values at a cut: computed before it, and used after it or returned to the user.

    Args:
        program: Program to cut.
        last: Index of the last operator before the cut; operators are counted from 0.

    Returns:
        The nodes whose values are float32 tensors, in order, without sizes and indices.
    """
    operators = operators_of(program)
    done = set(operators[: last + 1])
    return [node for node in operators[: last + 1] if set(node.users) - done and _is_map(node)]


def _is_map(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.dtype == torch.float32 and value.dim() > 0


class _Keeping(fx.Interpreter):
    """An interpreter that keeps every tensor. If `double`, calls for float32 compute in float64."""

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
    """Return every tensor that the program computes, by the name of its node.

    The program runs in double precision, so that rounding neither hides nor imitates a fault. If an
    operator does not support that, the program runs in its own precision.

    Args:
        program: Program whose user inputs are tensors.
        inputs: One tensor for each user input, in order.
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
