"""Core ML on a Mac; on other systems an evaluator of the saved program's operators.

The evaluator proves that the file describes the network (`checked: translation` in the manifest).
It proves nothing about Core ML itself: its arithmetic, its choice of compute units, or its speed.
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

__all__ = ["LOADS_FROM_MEMORY", "PACKAGE", "CoremlSession", "checked", "open_session", "preload"]

# Core ML compiles packages from disk only.
PACKAGE = "coremltools"
LOADS_FROM_MEMORY = False


class _Runner(Protocol):
    """Core ML or the evaluator: computes outputs from inputs, both by their Core ML names."""

    def run(
        self, inputs: Mapping[str, NDArray[np.float32]]
    ) -> Mapping[str, NDArray[np.float32]]: ...


class CoremlSession(Closing):
    """A loaded ML Program; created by `open_session`."""

    def __init__(self, runner: _Runner, spec: ProgramSpec) -> None:
        self._runner: _Runner | None = runner
        self._spec = spec

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the program; see `edge_pipeline.runtime.base.Session.run`."""
        if self._runner is None:
            raise RuntimeFailure(f"the session of {self._spec.name} is closed; open a new one")
        values, sizes = check_inputs(self._spec, inputs)
        names = [feature_name(tensor.name) for tensor in self._spec.inputs]
        outputs = self._runner.run(dict(zip(names, values, strict=True)))
        given = [
            np.array(outputs[feature_name(tensor.name)], np.float32)
            for tensor in self._spec.outputs
        ]
        return check_outputs(self._spec, given, sizes)

    def close(self) -> None:
        """Release the program and its memory."""
        self._runner = None


def open_session(
    path: Path, spec: ProgramSpec, threads: int, replaced: Mapping[str, bytes] | None = None
) -> CoremlSession:
    """Load an `.mlpackage`.

    Args:
        path: Folder of the package.
        spec: Description of the program in the manifest.
        threads: Ignored. Core ML chooses its number of threads, and the evaluator uses NumPy's,
            which is set before Python starts (`OMP_NUM_THREADS`).
        replaced: Must be None, because Core ML loads packages from files only.

    Raises:
        MissingExtraError: If coremltools is not installed on a Mac.
        RuntimeFailure: If the package cannot be loaded, or if its tensors differ from those in the
            manifest.
    """
    evaluator = Evaluator(path)
    _check_tensors(evaluator, spec, path)
    return CoremlSession(_Predictor(path) if _on_a_mac() else evaluator, spec)


def checked() -> Checked:
    """Return the result of a successful check: Core ML runs programs only on a Mac."""
    return "verified" if _on_a_mac() else "translation"


def preload() -> ModuleType:
    """Import and return the runtime's package, so that loading a program does not import it.

    Raises:
        MissingExtraError: If coremltools is not installed on a Mac.
    """
    if not _on_a_mac():
        return sys.modules[Evaluator.__module__]
    with _quiet():
        return require("coremltools", "coreml", "running Core ML artifacts")


def _on_a_mac() -> bool:
    return sys.platform == "darwin"


class _Predictor:
    """A program loaded in Core ML, which chooses the compute units."""

    def __init__(self, path: Path) -> None:
        tools: Any = preload()
        self._path = path
        try:
            with _quiet():
                self._model = tools.models.MLModel(str(path), compute_units=tools.ComputeUnit.ALL)
        except Exception as error:  # Core ML's errors have no other common base class
            raise RuntimeFailure(
                f"Core ML could not load {path}: {first_line(error)[:300]}"
            ) from error

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> Mapping[str, NDArray[np.float32]]:
        try:
            found: Mapping[str, NDArray[np.float32]] = self._model.predict(dict(inputs))
        except Exception as error:  # Core ML's errors have no other common base class
            raise RuntimeFailure(
                f"Core ML could not run {self._path}: {first_line(error)[:300]}"
            ) from error
        return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress coremltools' warnings about the versions of other packages."""
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
                f"{path} has the {kind} {', '.join(found)}; the manifest lists {', '.join(listed)}"
            )
    for tensor in spec.inputs:
        own = evaluator.inputs[feature_name(tensor.name)]
        if own.dtype != "float32" or not tensor.fits(own.shape, {}):
            raise RuntimeFailure(
                f"{path} has {tensor.name} as {own.dtype} {'x'.join(map(str, own.shape))}; "
                f"the manifest lists float32 {tensor.shape_text()}"
            )
