"""Checks of the programs that were just written, before the artifact gets its final name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from torch import Tensor

from edge_pipeline.artifact.constants import patch
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.schema import Precision, Space
from edge_pipeline.compare import TOLERANCES, compare
from edge_pipeline.compiler.backends.litert.board import check_board, unchecked_note
from edge_pipeline.compiler.precision.accuracy import Run
from edge_pipeline.compiler.source.entries import windowed
from edge_pipeline.errors import AccuracyError
from edge_pipeline.raw.windows import VIEW
from edge_pipeline.runtime.base import Session, runtime_named

__all__ = ["board_notes", "compiled_run", "dead_output_warnings", "prove"]

Arrays = dict[str, NDArray[np.float32]]

# Remedies if a precision loses too much; fp32 has none, since its errors are faults.
_REMEDIES: dict[Precision, str] = {
    "fp32": "",
    "fp16": "give --precision fp32; ",
    "int8": "give --precision fp16 or fp32, or samples like the inputs that it will see; ",
}


def _open(
    folder: Path, backend: str, spec: ProgramSpec, constants: Arrays | None = None
) -> Session:
    """Open a session of a program; `constants`, if given, replace those in its files."""
    replaced: tuple[dict[str, bytes], ...] = ()
    if constants is not None:
        held = {c.file: (folder / c.file).read_bytes() for c in spec.constants}
        replaced = (patch(held, spec.constants, constants),)
    return runtime_named(backend).open_session(folder / spec.file, spec, 1, *replaced)


def prove(
    folder: Path,
    backend: str,
    specs: Sequence[ProgramSpec],
    precision: Precision,
    space: Space,
) -> None:
    """Run every program on its reference input and compare its outputs with eager's.

    Args:
        folder: Folder of the files.
        backend: Backend whose runtime, or evaluator, runs the programs.
        specs: The programs.
        precision: Precision, which determines the tolerance.
        space: Kind of values of the network's own output.

    Raises:
        AccuracyError: If an output is out of tolerance.
        VerificationError: If an output has another shape than eager's, or is not finite.
        RuntimeFailure: If the runtime cannot load or run a program.
        MissingExtraError: If the runtime is not installed.
    """
    for spec in specs:
        inputs, expected = _reference(folder, spec)
        with _open(folder, backend, spec) as session:
            found = session.run(inputs)
        ranges = {t.name: t.range for t in spec.outputs if t.range is not None}
        spaces = {specs[-1].outputs[0].name: space}
        differences = compare(
            expected, found, ranges=ranges, pictures=spaces, variations=spec.variation
        )
        for name, difference in differences.items():
            complaint = TOLERANCES[precision].complaint(difference)
            if complaint is not None:
                raise AccuracyError(
                    f"{spec.name} as written for {backend} in {precision} differs from eager: the "
                    f"{complaint} in {name}; {_REMEDIES[precision]}edge-pipeline bisect finds "
                    "where it begins"
                )


def dead_output_warnings(folder: Path, spec: ProgramSpec, precision: Precision) -> list[str]:
    """Return a warning for each output that hardly depends on the input.

    Args:
        folder: Folder of the files.
        spec: Program that returns the network's own outputs.
        precision: Precision of the program.
    """
    _, expected = _reference(folder, spec)
    found = compare(expected, expected, variations=spec.variation)
    said = {name: TOLERANCES[precision].doubt(difference) for name, difference in found.items()}
    return [f"warning: {name} {doubt}" for name, doubt in said.items() if doubt is not None]


def board_notes(
    folder: Path, specs: Sequence[ProgramSpec], precision: Precision, python: Path | None
) -> list[str]:
    """Return the manifest's notes on boards with tflite-runtime, one sentence per program.

    Args:
        folder: Folder of the files.
        specs: LiteRT programs.
        precision: Precision of the programs.
        python: Python interpreter of an environment with tflite-runtime; None for no check.

    Raises:
        InputError: If `python` is not such an interpreter.
    """
    if python is None:
        return [unchecked_note(spec.name) for spec in specs]
    return [
        check_board(folder / spec.file, spec, precision, *_reference(folder, spec), python).note()
        for spec in specs
    ]


def _reference(folder: Path, spec: ProgramSpec) -> tuple[Arrays, Arrays]:
    """Return the reference input of a program that was just written, and eager's outputs for it."""
    tensors: Mapping[str, Any] = safetensors.numpy.load_file(folder / spec.reference)
    inputs = {t.name: tensors[f"input.{t.name}"] for t in spec.inputs}
    return inputs, {t.name: tensors[f"output.{t.name}"] for t in spec.outputs}


def compiled_run(
    folder: Path,
    backend: str,
    specs: Sequence[ProgramSpec],
    ports: Sequence[str],
    window: int = VIEW,
) -> Run:
    """Return a function that runs the written programs on the network's inputs.

    Args:
        folder: Folder of the files.
        backend: Backend whose runtime runs the programs.
        specs: One program, or a predictor and the path that takes its filters.
        ports: Names of the network's inputs, in order.
        window: Largest side of the part of each map that the predictor sees.
    """

    def run(inputs: tuple[Tensor, ...]) -> NDArray[np.float32]:
        named = dict(zip(ports, inputs, strict=True))
        filters: Arrays = {}
        if len(specs) > 1:
            seen = {t.name: windowed(named[t.name], window).numpy() for t in specs[0].inputs}
            with _open(folder, backend, specs[0]) as session:
                filters = session.run(seen)
        spec = specs[-1]
        own = {t.name: named[t.name].numpy() for t in spec.inputs if t.name in named}
        refolded = len(specs) > 1 and spec.name == "forward"
        with _open(folder, backend, spec, filters if refolded else None) as session:
            return session.run(own if refolded else own | filters)[spec.outputs[0].name]

    return run
