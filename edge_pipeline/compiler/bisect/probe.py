"""Compile and run the beginning of a program, and compare its values with eager ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compare import Tolerance, compare
from edge_pipeline.compiler.analysis.cutting import cut_at
from edge_pipeline.compiler.backends.base import Backend, EmitOptions
from edge_pipeline.compiler.bisect.cut import all_values, open_values, operators_of
from edge_pipeline.errors import CompileError, RuntimeFailure
from edge_pipeline.runtime.base import Session

__all__ = ["Opener", "Probe", "complaint_of", "first_complaint", "outputs_of"]

Opener = Callable[[Path, ProgramSpec, int], Session]
_LETTERS = "ABCDEFGH"


def outputs_of(program: ExportedProgram) -> list[fx.Node]:
    """Return the nodes whose values a program returns, in order."""
    by_name = {node.name: node for node in program.graph.nodes}
    return [by_name[spec.arg.name] for spec in program.graph_signature.output_specs]


def first_complaint(
    expected: Sequence[Tensor], found: Sequence[Tensor], tolerance: Tolerance
) -> str | None:
    """Return a clause about the first output out of tolerance; None if there is none."""
    if len(expected) != len(found):
        return f"expected {len(expected)} outputs, got {len(found)}"
    complaints = (
        complaint_of(one, two, tolerance) for one, two in zip(expected, found, strict=True)
    )
    return next((text for text in complaints if text is not None), None)


def complaint_of(expected: Tensor, found: Tensor, tolerance: Tolerance) -> str | None:
    """Return a clause if `found` is out of tolerance, or None; equal infinities and NaNs agree."""
    if expected.shape != found.shape:
        return f"expected the shape {tuple(expected.shape)}, got {tuple(found.shape)}"
    first, second = (value.detach().double().numpy() for value in (expected, found))
    if not first.size:
        return None
    odd = ~(np.isfinite(first) & np.isfinite(second))
    if not np.array_equal(first[odd], second[odd], equal_nan=True):
        return f"{int(odd.sum())} values are not finite"
    first, second = np.where(odd, 0, first), np.where(odd, 0, second)
    return tolerance.complaint(compare({"": first}, {"": second})[""])


class Probe:
    """Compiles and runs the first operators of a program.

    Args:
        program: Program after the backend's passes.
        inputs: Example inputs.
        backend: Backend that writes the programs.
        options: Options of the backend, with the program's names of inputs and outputs.
        opener: Function that opens a written program, such as `open_session` in `runtime`.
        tolerance: Largest allowed difference from the values that eager computes.
    """

    def __init__(
        self,
        program: ExportedProgram,
        inputs: Sequence[Tensor],
        backend: Backend,
        options: EmitOptions,
        opener: Opener,
        tolerance: Tolerance,
    ) -> None:
        self.program = program
        self.operators = operators_of(program)
        self.values = all_values(program, inputs)
        self._inputs = inputs
        self._backend = backend
        self._options = options
        self._opener = opener
        self._tolerance = tolerance

    def whole(self, options: EmitOptions | None = None) -> str | None:
        """Run the whole program; return a clause about its fault or failure, or None.

        Args:
            options: Options to write it with; if None, those of the probe.
        """
        outputs = outputs_of(self.program)
        try:
            found = self._run(self.program, self._options.outputs, outputs, options)
        except RuntimeFailure as error:
            return _failed(error)
        expected = [self.values[node.name] for node in outputs]
        return first_complaint(expected, found, self._tolerance)

    def upto(self, last: int) -> tuple[fx.Node, str] | None:
        """Return the first value at the cut after the operator `last` that is out of tolerance.

        The value is returned as its node and a clause. If this part of the program is compiled but
        does not run, the node is the operator at `last`.

        Raises:
            CompileError: If this part cannot be compiled by itself.
        """
        nodes = open_values(self.program, last)
        if not nodes:
            raise CompileError(f"no value can be compared after {self.operators[last].name}")
        names = [f"value_{index}" for index in range(len(nodes))]
        try:
            found = self._run(cut_at(self.program, nodes), names, nodes)
        except RuntimeFailure as error:
            return self.operators[last], _failed(error)
        for node, value in zip(nodes, found, strict=True):
            complaint = complaint_of(self.values[node.name], value, self._tolerance)
            if complaint is not None:
                return node, complaint
        return None

    def _run(
        self,
        program: ExportedProgram,
        names: Sequence[str],
        nodes: Sequence[fx.Node],
        options: EmitOptions | None = None,
    ) -> list[Tensor]:
        options = replace(options or self._options, outputs=tuple(names))
        emitted = self._backend.emit(program, options)
        given = {
            name: value.numpy() for name, value in zip(options.inputs, self._inputs, strict=True)
        }
        with tempfile.TemporaryDirectory(prefix="edge-pipeline-bisect-") as folder:
            for name, data in emitted.files.items():
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            spec = ProgramSpec(
                name="forward",
                file=emitted.file,
                inputs=tuple(_spec(name, value.shape) for name, value in given.items()),
                outputs=tuple(
                    _spec(name, tuple(self.values[node.name].shape))
                    for name, node in zip(names, nodes, strict=True)
                ),
                macs=0,
                flops=0,
                delegation=emitted.delegation,
                reference="none",
                extra=tuple(
                    name
                    for name in emitted.files
                    if name != emitted.file and not name.startswith(f"{emitted.file}/")
                ),
            )
            with self._opener(Path(folder) / emitted.file, spec, 1) as session:
                outputs = session.run(given)
        return [torch.from_numpy(outputs[name]) for name in names]


def _failed(error: RuntimeFailure) -> str:
    return f"the runtime fails: {error}"


def _spec(name: str, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(name=name, shape=shape, layout=_LETTERS[: len(shape)], meaning="a value")
