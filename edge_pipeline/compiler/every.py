"""Build one program that serves every value of the fixed number.

The program is written once for the anchor, a value at which each map size shows its column in the
table of sizes. Its weights and sizes are then replaced by those for the fixed value, with the
functions that `respecialise` uses. So an artifact does not depend on the way to its value.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.constants import patch
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.moving import moved
from edge_pipeline.artifact.schema import Precision, Value
from edge_pipeline.artifact.size_table import SizeTable
from edge_pipeline.artifact.weight_curve import WeightCurve
from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.build import Built, Target, build, varied
from edge_pipeline.compiler.source.entries import Entry
from edge_pipeline.compiler.source.graph import graph_bytes
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.reference import macs_of, reference_of
from edge_pipeline.compiler.source.tabulate import NotEveryValue
from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.models.cost import cost_of_name
from edge_pipeline.proof.costs import cost_at
from edge_pipeline.registry import MODELS
from edge_pipeline.runtime.base import runtime_named

__all__ = ["Template", "build_every"]

# Passes that compute other constants from weights, which then cannot be exchanged. ONNX Runtime
# folds batch norm into constant weights itself when it loads a program.
_FOLDING = frozenset({"fold_batch_norm", "take_in_gain", "fold_bias"})

# Largest error of a program at other values, relative to eager's largest output.
_TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16": 3e-2}


@dataclass(frozen=True)
class Template:
    """The program for the anchor, from which those for all values are made.

    Attributes:
        entry: Program for the anchor.
        anchor: Value of the fixed number at the anchor.
        curve: Weights and sizes over the range.
        network: Network with the fixed value that is compiled.
    """

    entry: Entry
    anchor: float
    curve: WeightCurve
    network: SourceNetwork

    @property
    def table(self) -> SizeTable:
        """The table of sizes."""
        if self.curve.table is None:
            raise NotEveryValue("its map sizes are not tabulated")
        return self.curve.table

    @property
    def value(self) -> float:
        """The fixed value that is compiled."""
        return float(str(self.network.fixed[self.curve.spec.input]))

    def at(self, value: float) -> SourceNetwork:
        """Return the network for another value."""
        return self.network.with_fixed({**self.network.fixed, self.curve.spec.input: value})


def build_every(entry: Entry, template: Template, target: Target, options: EmitOptions) -> Built:
    """Build the program for the fixed value from the program for the anchor.

    Args:
        entry: Program for the fixed value, with weights from the curve.
        template: Program for the anchor, and the curve.
        target: Backend and device profile.
        options: Options of the backend.

    Raises:
        NotEveryValue: If the program for another value is not the one that the network has there.
        CompileError: If a pass or the backend cannot compile the network; the layer is named.
    """
    options = replace(options, movable=True)
    written = build(template.entry, target, options)
    if not written.spec.constants:
        written = build(template.entry, replace(target, without=_FOLDING), options)
    if not written.spec.constants:
        raise NotEveryValue("; ".join(written.notes) or "its weights were not found")
    _check_costs(template)
    files, spec = _served(written, template, template.value)
    if spec.graph is None or files[spec.graph] != graph_bytes(entry.program):
        raise NotEveryValue("its graph changes with the value in more than map sizes")
    _check_others(written, template, target, options.precision)
    macs = macs_of(entry.program, entry.example)
    found = _macs(written.spec, template, template.value)
    if found != macs:
        raise NotEveryValue(f"its table has {found} multiply-accumulates and its program {macs}")
    files[spec.reference] = reference_of(entry)
    spec = spec.model_copy(update={"macs": macs, "flops": 2 * macs})
    return Built(varied(spec, entry), files, written.notes)


def _macs(spec: ProgramSpec, template: Template, value: float) -> int:
    column = template.table.spec.macs
    return spec.macs if column is None else template.table.at(value)[column]


def _served(
    written: Built, template: Template, value: float
) -> tuple[dict[str, bytes], ProgramSpec]:
    """Return the files and the description of the program for a value."""
    files, spec = written.files, written.spec
    files = files | patch(files, spec.constants, template.curve.at(value))
    old, new = template.table.at(template.anchor), template.table.at(value)
    changed, spec = moved(files, spec, old, new)
    return files | changed, spec


def _others(template: Template) -> Iterator[float]:
    """Yield values at which the program is compared with the network: both ends and the middle."""
    knots = template.curve.spec.knots
    yield from (knots[0], (knots[0] + knots[-1]) / 2, knots[-1])


def _check_others(written: Built, template: Template, target: Target, precision: Precision) -> None:
    """Raise `NotEveryValue` if the program differs from the network at another value."""
    inputs = {
        role.name: value.numpy()
        for role, value in zip(template.entry.inputs, template.entry.example, strict=True)
    }
    for value in _others(template):
        target.on_step(f"checking {template.curve.spec.input}={value:g}")
        files, spec = _served(written, template, value)
        expected = [one.numpy() for one in template.at(value).run(template.entry.example)]
        try:
            found = _run(files, spec, target.name, inputs)
        except EdgePipelineError as error:
            raise NotEveryValue(f"its program does not run at {value:g}") from error
        if not _is_near(found, expected, _TOLERANCES[precision]):
            raise NotEveryValue(f"its program differs from the network at {value:g}")


def _run(
    files: dict[str, bytes], spec: ProgramSpec, runtime: str, inputs: dict[str, NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    with tempfile.TemporaryDirectory(prefix="edge-pipeline-every-") as folder:
        for name in (spec.file, *spec.extra):
            Path(folder, name).write_bytes(files[name])
        with runtime_named(runtime).open_session(Path(folder, spec.file), spec, 1) as session:
            made = session.run(inputs)
    return [made[tensor.name] for tensor in spec.outputs]


def _is_near(
    found: Sequence[NDArray[np.float32]],
    expected: Sequence[NDArray[np.float32]],
    tolerance: float,
) -> bool:
    return all(
        one.shape == other.shape
        and float(np.abs(one - other).max()) <= tolerance * float(np.abs(other).max())
        for one, other in zip(found, expected, strict=True)
    )


def _check_costs(template: Template) -> None:
    """Raise `NotEveryValue` if the table's costs are not those of the network at other values."""
    source, name = template.network.source, template.curve.spec.input
    if source.model not in MODELS:
        return
    shape = tuple(template.entry.example[0].shape[1:])
    fixed: dict[str, Value] = {
        key: value
        for key, value in template.network.fixed.items()
        if isinstance(value, str | int | float)
    }
    first = cost_of_name(source.model, source.options, shape, fixed).on_path()
    for value in _others(template):
        changed = {**fixed, name: value}
        expected = cost_of_name(source.model, source.options, shape, changed).on_path()
        if cost_at(first, template.table, value, changed) != expected:
            raise NotEveryValue(f"its cost at {name}={value:g} is not in the table")
