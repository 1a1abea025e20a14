"""Find the first pass, then the first operator, at which a compiled network becomes wrong.

Passes are run one by one, and the outputs after each are compared with those of the source program.
For the first pass out of tolerance, the values that should be equal before and after it are
compared. If all passes agree, the compiled program is bisected: its first part is compiled and run,
for several cuts. A part that the runtime cannot run counts as a part with a wrong value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compare import TOLERANCES, Tolerance
from edge_pipeline.compiler.backends.base import Backend, EmitOptions
from edge_pipeline.compiler.bisect.correspond import correspondences
from edge_pipeline.compiler.bisect.cut import all_values, operators_of
from edge_pipeline.compiler.bisect.probe import (
    Opener,
    Probe,
    complaint_of,
    first_complaint,
    outputs_of,
)
from edge_pipeline.compiler.program import Pass, approximation_of, layer_of
from edge_pipeline.errors import CompileError

__all__ = ["Finding", "bisect"]


@dataclass(frozen=True)
class Finding:
    """The first operator whose result is out of tolerance.

    Attributes:
        stage: Whether a pass caused the fault, or the backend with its runtime.
        step: Name of the pass; empty for the backend.
        operator: The operator, such as `conv2d`, in the program after the pass or before the
            backend.
        node: Name of the operator's node in that program.
        layer: Module of the source network that the operator comes from.
        source: Operator and node name of the equal value in the source program; None if the source
            program has no such value, since the operator is a step inside a rewritten layer.
        complaint: Clause about the difference.
        before: Operators that could not be checked alone; the fault may be in one of them.
    """

    stage: Literal["pass", "backend"]
    step: str
    operator: str
    node: str
    layer: str
    source: str | None
    complaint: str
    before: tuple[str, ...] = ()


def bisect(
    program: ExportedProgram,
    inputs: Sequence[Tensor],
    passes: Sequence[Pass],
    backend: Backend | None,
    options: EmitOptions,
    opener: Opener | None,
    *,
    tolerance: Tolerance | None = None,
    others: Callable[[ExportedProgram], Iterable[EmitOptions]] = lambda _: (),
    on_step: Callable[[str], None] = lambda _: None,
) -> Finding | None:
    """Find the first operator at which `program` leaves tolerance; return None if there is none.

    Args:
        program: Exported program.
        inputs: Example inputs.
        passes: Passes to check, in order.
        backend: Backend that writes the program; None to check the passes only.
        options: Options of the backend, with the program's names of inputs and outputs.
        opener: Function that opens a written program, such as `open_session` in `runtime`.
        tolerance: Largest allowed difference. If None, passes use the tolerance of fp32, and the
            backend that of its precision.
        others: Function that returns, for the program after the passes, the options with which
            `compile` writes it again if it is out of tolerance. If one of these programs is within
            tolerance, there is no fault.
        on_step: Function that is called with a short description of each step.

    Raises:
        CompileError: If a pass or the backend cannot compile the program.
    """
    exact = tolerance or TOLERANCES["fp32"]
    source = all_values(program, inputs)
    expected = [source[node.name] for node in outputs_of(program)]
    origins = {node.name: _called(node) for node in operators_of(program)}
    for step in passes:
        on_step(f"the pass {step.name}")
        result = step.run(program)
        if not result.modified:
            continue
        values = all_values(result.program, inputs)
        found = [values[node.name] for node in outputs_of(result.program)]
        share = approximation_of(step)
        allowed = exact.plus(Tolerance(max_rel=share)) if share else exact
        complaint = first_complaint(expected, found, allowed)
        if complaint is not None:
            finding = _in_pass(program, result.program, inputs, values, allowed, origins)
            last = outputs_of(result.program)[0]
            fallback = _finding("pass", last, origins, complaint)
            return replace(finding or fallback, step=step.name)
        if share:
            expected = found
        origins = _carried(program, result.program, origins)
        program = result.program
    if backend is None or opener is None:
        return None
    bound = tolerance or TOLERANCES[options.precision]
    probe = Probe(program, inputs, backend, options, opener, bound)
    return _in_backend(probe, others, origins, on_step)


def _called(node: fx.Node) -> str:
    return f"{_operator(node)} {node.name}"


def _operator(node: fx.Node) -> str:
    """Return the operator's short name, such as `conv2d`; of `getitem`, the name of its source."""
    if node.op != "call_function":
        return "a constant"
    if node.target is operator.getitem:
        return _operator(node.all_input_nodes[0])
    return str(getattr(node.target, "__name__", node.target)).split(".")[0]


def _finding(
    stage: Literal["pass", "backend"], node: fx.Node, origins: Mapping[str, str], complaint: str
) -> Finding:
    return Finding(
        stage=stage,
        step="",
        operator=_operator(node),
        node=node.name,
        layer=layer_of(node),
        source=origins.get(node.name),
        complaint=complaint,
    )


def _in_pass(
    before: ExportedProgram,
    after: ExportedProgram,
    inputs: Sequence[Tensor],
    values: Mapping[str, Tensor],
    tolerance: Tolerance,
    origins: Mapping[str, str],
) -> Finding | None:
    """Return the first value after a pass that differs from its corresponding value before it."""
    old = all_values(before, inputs)
    for was, now in correspondences(before, after):
        if was.name not in old or now.name not in values:
            continue
        complaint = complaint_of(old[was.name], values[now.name], tolerance)
        if complaint is not None:
            found = _finding("pass", now, {}, complaint)
            return replace(found, source=origins.get(was.name, _called(was)))
    return None


def _carried(
    before: ExportedProgram, after: ExportedProgram, origins: Mapping[str, str]
) -> dict[str, str]:
    """Map the values of the new program to the corresponding values of the source program."""
    carried: dict[str, str] = {}
    for was, now in correspondences(before, after):
        if was.name in origins:
            carried[now.name] = origins[was.name]
    return carried


def _in_backend(
    probe: Probe,
    others: Callable[[ExportedProgram], Iterable[EmitOptions]],
    origins: Mapping[str, str],
    on_step: Callable[[str], None],
) -> Finding | None:
    """Bisect the program until one operator is left with right values before and wrong after it."""
    on_step("the whole program in the runtime")
    complaint = probe.whole()
    if complaint is None:
        return None
    for options in others(probe.program):
        on_step("the whole program in the runtime, with layers in float32")
        if probe.whole(options) is None:
            return None
    right, wrong = -1, len(probe.operators) - 1
    node, untried = outputs_of(probe.program)[0], set[int]()
    while left := [i for i in range(right + 1, wrong) if i not in untried]:
        at = min(left, key=lambda i: abs(2 * i - right - wrong))
        on_step(f"operators 1 to {at + 1} of {len(probe.operators)} in the runtime")
        try:
            bad = probe.upto(at)
        except CompileError:
            untried.add(at)
            continue
        if bad is None:
            right = at
        else:
            wrong, (node, complaint) = at, bad
    found = _finding("backend", node, origins, complaint)
    names = tuple(_called(probe.operators[i]) for i in range(right + 1, wrong) if i in untried)
    return replace(found, before=names)
