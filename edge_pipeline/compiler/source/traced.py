"""Check that a traced network is a function of its inputs, and say why one cannot be traced."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

from edge_pipeline.compiler.analysis.origin import is_of_the_network, place_of
from edge_pipeline.compiler.analysis.refusals import Refused, refusal
from edge_pipeline.compiler.program import user_inputs
from edge_pipeline.errors import CompileError, InputError, first_line

__all__ = ["check_function", "failing", "untraceable"]

_MUTATIONS = {
    OutputKind.BUFFER_MUTATION: "buffer",
    OutputKind.PARAMETER_MUTATION: "parameter",
    OutputKind.USER_INPUT_MUTATION: "input",
}
# Parts of torch's messages, and a clause for each.
_REASONS = (
    (
        "data-dependent",
        "Python needs the value of a tensor there, which only a run computes; use operators on "
        "tensors such as torch.where, or make the value a number that --fix sets",
    ),
    (
        "uninitialized parameter",
        "it has lazy layers, whose weights have no shape yet; call the network once on an input "
        "before it is compiled",
    ),
)


def untraceable(name: str, error: BaseException) -> CompileError:
    """Return the error for a network that torch cannot trace, with the line of its source.

    Args:
        name: Name of the network's class.
        error: Error that torch raised.
    """
    reason = first_line(error)
    for part, clause in _REASONS:
        if part in str(error):
            reason = clause
    return CompileError(f"torch cannot trace {name}{_place(error)}: {reason}")


def failing(name: str, error: BaseException) -> InputError:
    """Return the error for a network that cannot be run on its example inputs.

    Args:
        name: Name of the network's class.
        error: Error that it raised.
    """
    kind, detail = type(error).__name__, str(error).strip()
    reason = f"{kind}: {first_line(error)}" if detail else kind
    return InputError(
        f"{name} fails on the example inputs{_place(error)} ({reason}); check their shapes, types "
        "and ranges"
    )


def _place(error: BaseException) -> str:
    """Return the last line of the network in an error's traceback, as a clause."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [place_of(f.filename, f.lineno or 0) for f in frames if is_of_the_network(f.filename)]
    return f" at {lines[-1]}" if lines else ""


def check_function(program: ExportedProgram, name: str, inputs: Sequence[str]) -> None:
    """Raise an error unless the outputs of a program depend on its inputs alone.

    Args:
        program: Program that torch exported.
        name: Name of the network's class.
        inputs: Names of the program's inputs, in order.

    Raises:
        CompileError: If the network changes an input, a buffer or a parameter, draws random
            numbers, has branches or loops, or returns a tensor whose size depends on values.
    """
    placeholders = dict(zip(user_inputs(program.graph_signature), inputs, strict=False))
    for spec in program.graph_signature.output_specs:
        if spec.kind in _MUTATIONS:
            target = str(spec.target).removeprefix("network.")
            raise CompileError(
                f"{name}.forward changes its {_MUTATIONS[spec.kind]} "
                f"{placeholders.get(target, target)} in place, and a program keeps no state; "
                "compute a new tensor, and return it if the caller needs it"
            )
    found = list(_foreign(program))
    if found:
        raise CompileError(refusal(f"{len(found)} operators are not functions of tensors", found))
    for value in program.graph.output_node().args[0]:
        _check_size(name, value)


def _foreign(program: ExportedProgram) -> Iterator[Refused]:
    for node in program.graph.nodes:
        target = node.target
        if isinstance(target, HigherOrderOperator):
            remedy = "compile each branch as a network, or use torch.where"
            yield Refused.of(node, f"{target} decides at run time what is computed", remedy)
        elif _is_random(node):
            remedy = "make the random tensor an input or a buffer"
            yield Refused.of(node, f"{target} draws random numbers", remedy)


def _is_random(node: fx.Node) -> bool:
    target: Any = node.target
    if torch.Tag.nondeterministic_seeded not in getattr(target, "tags", ()):
        return False
    # Dropout and attention have the tag too, and are deterministic in eval mode.
    return not any(word in str(target) for word in ("dropout", "attention", "rrelu"))


def _check_size(name: str, node: Any) -> None:
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    if not isinstance(value, Tensor):
        return
    for size in value.shape:
        if free_unbacked_symbols(size):
            raise CompileError(
                f"an output of {name} has a size that depends on values, as of nonzero; return "
                "tensors whose sizes follow from those of the inputs, such as a mask"
            )
