"""Find the operators that a converter cannot convert, by converting each of them alone."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.analysis.refusals import Refused, refusal
from edge_pipeline.compiler.program import constants_of
from edge_pipeline.compiler.quiet import untraced_errors
from edge_pipeline.errors import CompileError

__all__ = ["conversion_error"]

_NUMBERS = (torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default)
_NUMBER_REMEDY = "use operators on tensors, such as a product with a one-hot mask"
_REMEDY = "write it with other operators, or leave it out of the network"


def conversion_error(
    program: ExportedProgram,
    convert: Callable[[ExportedProgram], object],
    failures: tuple[type[Exception], ...],
    converter: str,
) -> CompileError:
    """Return the error for a program that a converter refused, without the converter's own text.

    Args:
        program: The program.
        convert: Function that converts a program, and raises an error if it cannot.
        failures: The errors that it raises.
        converter: Name of the converter, for the message.
    """
    verdicts: dict[str, bool] = {}
    constants = constants_of(program)
    refused = [
        Refused.of(node, "a Python number is read from a tensor", _NUMBER_REMEDY)
        for node in program.graph.nodes
        if node.target in _NUMBERS
    ]
    for node in program.graph.nodes if not refused else ():
        if node.op != "call_function" or not _has_tensors(node):
            continue
        key = _key(node, constants)
        if key not in verdicts:
            verdicts[key] = _is_converted(node, constants, convert, failures)
        if not verdicts[key]:
            kind = str(node.target).removeprefix("aten.").partition(".")[0]
            refused.append(Refused.of(node, f"{converter} cannot convert {kind}", _REMEDY))
    if not refused:
        return CompileError(
            f"{converter} cannot convert the program, although it converts each of its operators "
            "alone; compile a part of the network to find the reason"
        )
    heading = f"{converter} cannot convert {len(refused)} operators"
    return CompileError(refusal(heading, refused))


class _Alone(nn.Module):
    """A module that calls one operator; its constant operands are buffers."""

    def __init__(self, node: fx.Node, constants: dict[str, Tensor]) -> None:
        super().__init__()
        self._node = node
        self._free = [n for n in node.all_input_nodes if n.name not in constants]
        for index, operand in enumerate(node.all_input_nodes):
            if operand.name in constants:
                self.register_buffer(f"operand_{index}", constants[operand.name])

    def example(self) -> tuple[Tensor, ...]:
        """Return tensors like the operands."""
        return tuple(
            torch.ones(tuple(map(int, value.shape)), dtype=value.dtype)
            for value in (operand.meta["val"] for operand in self._free)
        )

    def forward(self, *given: Tensor) -> Any:
        """Call the operator."""
        free = dict(zip(self._free, given, strict=True))
        held = {
            operand: free[operand] if operand in free else getattr(self, f"operand_{index}")
            for index, operand in enumerate(self._node.all_input_nodes)
        }
        target: Any = self._node.target
        args: Any = fx.node.map_arg(self._node.args, lambda n: held[n])
        kwargs: Any = fx.node.map_arg(self._node.kwargs, lambda n: held[n])
        return target(*args, **kwargs)


def _is_converted(
    node: fx.Node,
    constants: dict[str, Tensor],
    convert: Callable[[ExportedProgram], object],
    failures: tuple[type[Exception], ...],
) -> bool:
    """Return whether the converter accepts an operator, or torch cannot export it alone."""
    module = _Alone(node, constants).eval()
    try:
        with torch.no_grad(), untraced_errors():
            program = torch.export.export(module, module.example()).run_decompositions({})
    except Exception:  # noqa: BLE001 - torch names none, and the operator is not to blame
        return True
    try:
        convert(program)
    except failures:
        return False
    return True


def _has_tensors(node: fx.Node) -> bool:
    """Return whether all operands are tensors of fixed shape, and there is at least one."""
    operands = node.all_input_nodes
    tensors = all(isinstance(n.meta.get("val"), Tensor) and has_fixed_shape(n) for n in operands)
    return bool(operands) and tensors


def _key(node: fx.Node, constants: Container[str]) -> str:
    """Return a text that is equal for equal operators on tensors of equal shapes and types."""

    def named(operand: fx.Node) -> Any:
        value = operand.meta["val"]
        return f"{operand.name in constants}{tuple(value.shape)}{value.dtype}"

    return repr((str(node.target), fx.node.map_arg((node.args, node.kwargs), named)))
