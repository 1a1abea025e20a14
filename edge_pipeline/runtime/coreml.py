"""Core ML: on a Mac `predict`; elsewhere an evaluation of the saved program's operators.

The evaluation proves that the file says what the network does (`checked: translation` in the
manifest). It is no measure of Core ML: not of its arithmetic, nor of what runs where, nor of time.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import Checked, ProgramSpec
from edge_pipeline.closing import Closing
from edge_pipeline.errors import RuntimeFailure, first_line
from edge_pipeline.optional import require
from edge_pipeline.runtime.base import check_inputs, check_outputs
from edge_pipeline.runtime.mil.evaluate import Evaluator
from edge_pipeline.runtime.mil.package import feature_name

__all__ = ["LOADS_FROM_MEMORY", "CoremlSession", "checked", "open_session", "preload"]

# Core ML compiles a package that lies on disk.
LOADS_FROM_MEMORY = False


class _Runner(Protocol):
    """What computes: outputs by Core ML's names for inputs by them."""

    def run(
        self, inputs: Mapping[str, NDArray[np.float32]]
    ) -> Mapping[str, NDArray[np.float32]]: ...


class CoremlSession(Closing):
    """An ML Program; made by `open_session`."""

    def __init__(self, runner: _Runner, spec: ProgramSpec) -> None:
        self._runner: _Runner | None = runner
        self._spec = spec

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `edge_pipeline.runtime.base.Session.run`."""
        if self._runner is None:
            raise RuntimeFailure(f"the session of {self._spec.name} is closed; open another")
        values, sizes = check_inputs(self._spec, inputs)
        names = [feature_name(tensor.name) for tensor in self._spec.inputs]
        outputs = self._runner.run(dict(zip(names, values, strict=True)))
        given = [
            np.array(outputs[feature_name(tensor.name)], np.float32)
            for tensor in self._spec.outputs
        ]
        return check_outputs(self._spec, given, sizes)

    def close(self) -> None:
        """Let the program and its memory go."""
        self._runner = None


def open_session(
    path: Path, spec: ProgramSpec, threads: int, replaced: Mapping[str, bytes] | None = None
) -> CoremlSession:
    """Load an `.mlpackage`.

    Args:
        path: the package's folder.
        spec: what the manifest says of it.
        threads: not heeded: Core ML chooses its own, and the evaluation's are NumPy's, which are
            set before Python starts (`OMP_NUM_THREADS`).
        replaced: None, since Core ML loads packages from files only.

    Raises:
        MissingExtraError: on a Mac, coremltools is not installed.
        RuntimeFailure: the package cannot be loaded, or its tensors are not the manifest's.
    """
    evaluator = Evaluator(path)
    _check_tensors(evaluator, spec, path)
    return CoremlSession(_Predictor(path) if _on_a_mac() else evaluator, spec)


def checked() -> Checked:
    """What a run here proves: on a Mac Core ML runs it, elsewhere the evaluator does."""
    return "verified" if _on_a_mac() else "translation"


def preload() -> ModuleType:
    """Import what the runtime needs, and give it back; a program then loads alone.

    Raises:
        MissingExtraError: on a Mac, coremltools is not installed.
    """
    if not _on_a_mac():
        return sys.modules[Evaluator.__module__]
    with _quiet():
        return require("coremltools", "coreml", "running Core ML artifacts")


def _on_a_mac() -> bool:
    return sys.platform == "darwin"


class _Predictor:
    """The program in Core ML itself; it chooses the units."""

    def __init__(self, path: Path) -> None:
        tools: Any = preload()
        self._path = path
        try:
            with _quiet():
                self._model = tools.models.MLModel(str(path), compute_units=tools.ComputeUnit.ALL)
        except Exception as error:  # Core ML's errors share no base class but this
            raise RuntimeFailure(
                f"Core ML could not load {path}: {first_line(error)[:300]}"
            ) from error

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> Mapping[str, NDArray[np.float32]]:
        try:
            found: Mapping[str, NDArray[np.float32]] = self._model.predict(dict(inputs))
        except Exception as error:  # Core ML's errors share no base class but this
            raise RuntimeFailure(
                f"Core ML could not run {self._path}: {first_line(error)[:300]}"
            ) from error
        return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep coremltools' advice on other packages' versions off the terminal."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _check_tensors(evaluator: Evaluator, spec: ProgramSpec, path: Path) -> None:
    for kind, tensors, found in (
        ("inputs", spec.inputs, sorted(evaluator.inputs)),
        ("outputs", spec.outputs, sorted(evaluator.outputs)),
    ):
        listed = sorted(feature_name(tensor.name) for tensor in tensors)
        if found != listed:
            raise RuntimeFailure(
                f"{path} has the {kind} {', '.join(found)}, and the manifest lists "
                f"{', '.join(listed)}"
            )
    for tensor in spec.inputs:
        own = evaluator.inputs[feature_name(tensor.name)]
        if own.dtype != "float32" or not tensor.fits(own.shape, {}):
            raise RuntimeFailure(
                f"{path} takes {tensor.name} as {own.dtype} {'x'.join(map(str, own.shape))}, "
                f"and the manifest says float32 {tensor.shape_text()}"
            )
