"""Checking a `.tflite` file with tflite-runtime 2.14, which many boards still have.

It wants NumPy 1, so it runs in an environment of its own, as another process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compare import TOLERANCES, compare
from edge_pipeline.compiler.backends.litert import board_program
from edge_pipeline.errors import InputError, RuntimeFailure, VerificationError
from edge_pipeline.runtime.base import check_inputs, check_outputs

__all__ = ["BoardCheck", "check_board", "make_environment", "unchecked_note"]

# The last release; its wheels are for CPython 3.8 to 3.11.
_RELEASE = "2.14.0"
_REQUIREMENTS = (f"tflite-runtime=={_RELEASE}", "numpy<2")
_READY = "ready"
_PIP_SECONDS = 600.0
_RUN_SECONDS = 600.0
_VERSION = "import importlib.metadata as m; print(m.version('tflite-runtime'))"


@dataclass(frozen=True)
class BoardCheck:
    """What tflite-runtime made of a program.

    Attributes:
        program: its name.
        runtime: `tflite-runtime` and its version.
        max_rel: largest error over the reference's largest magnitude, of the worst output; None
            where it did not run.
        complaint: what is wrong, as a clause; None where it agrees.
    """

    program: str
    runtime: str
    max_rel: float | None
    complaint: str | None

    @property
    def passed(self) -> bool:
        """Whether boards with this runtime can use the file."""
        return self.complaint is None

    def note(self) -> str:
        """The sentence for the manifest's notes."""
        if self.complaint is None:
            return f"{self.program}: checked with {self.runtime}: relative error {self.max_rel:.2g}"
        return f"{self.program}: needs LiteRT: with {self.runtime} {self.complaint}"


def unchecked_note(program: str) -> str:
    """The sentence for the manifest's notes where nothing was checked."""
    return f"{program}: needs LiteRT: it was not checked with tflite-runtime {_RELEASE}"


def check_board(
    path: Path,
    spec: ProgramSpec,
    precision: Precision,
    inputs: Mapping[str, NDArray[np.float32]],
    expected: Mapping[str, NDArray[np.float32]],
    python: Path,
) -> BoardCheck:
    """Run a program with another Python's tflite-runtime, and compare with what it should give.

    That the runtime cannot load the file or computes something else is a result, and no error.

    Args:
        path: the `.tflite` file.
        spec: what the manifest says of it.
        precision: the file's, which sets the tolerance.
        inputs: arrays by tensor name.
        expected: what eager gave for them, by tensor name.
        python: the interpreter of an environment with tflite-runtime.

    Raises:
        InputError: `python` is no such interpreter, or an input is not what the program takes.
    """
    runtime = f"tflite-runtime {_version(python)}"
    values, sizes = check_inputs(spec, inputs)
    named = {t.name: value for t, value in zip(spec.inputs, values, strict=True)}
    try:
        found = _run(path, named, python)
        outputs = check_outputs(spec, [found[t.name] for t in spec.outputs], sizes)
        ranges = {t.name: t.range for t in spec.outputs if t.range is not None}
        differences = compare(expected, outputs, ranges=ranges)
    except KeyError as error:
        return BoardCheck(spec.name, runtime, None, f"it has no output called {error}")
    except (RuntimeFailure, VerificationError) as error:
        return BoardCheck(spec.name, runtime, None, str(error))
    complaints = ((n, TOLERANCES[precision].complaint(d)) for n, d in differences.items())
    wrong = next((f"{name} is wrong: {c}" for name, c in complaints if c is not None), None)
    return BoardCheck(spec.name, runtime, max(d.max_rel for d in differences.values()), wrong)


def make_environment(folder: Path) -> Path:
    """An environment with tflite-runtime 2.14 and NumPy 1, made from PyPI unless it is there.

    Args:
        folder: where environments are kept; this one takes a folder in it, about 100 MB.

    Returns:
        Its interpreter.

    Raises:
        RuntimeFailure: it cannot be made; the last thing that Python or pip said is told.
    """
    place = folder / f"tflite-runtime-{_RELEASE}-py{sys.version_info[0]}{sys.version_info[1]}"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if (place / _READY).exists():
        return python
    shutil.rmtree(place, ignore_errors=True)  # one that was interrupted
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _call([sys.executable, "-m", "venv", str(place)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _call([*pip, "--only-binary=:all:", *_REQUIREMENTS])
        (place / _READY).touch()
    except OSError as error:
        raise RuntimeFailure(f"{place} cannot be made: {error.strerror}") from error
    return python


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - Python itself, no shell
            command, capture_output=True, text=True, check=False, timeout=_PIP_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeFailure(
            f"making an environment with tflite-runtime {_RELEASE} took over {_PIP_SECONDS:.0f} s"
        ) from error
    if done.returncode != 0:
        raise RuntimeFailure(
            f"no environment with tflite-runtime {_RELEASE} could be made, which has wheels for "
            f"Python 3.8 to 3.11: {_last_line(done.stderr or done.stdout)}"
        )


def _version(python: Path) -> str:
    """The tflite-runtime that an interpreter has."""
    try:
        done = subprocess.run(  # noqa: S603 - the user's own interpreter, no shell
            [str(python), "-I", "-c", _VERSION],
            capture_output=True,
            text=True,
            check=False,
            timeout=_RUN_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{python} is not a Python interpreter that can be run") from error
    if done.returncode != 0:
        raise InputError(
            f"{python} has no tflite-runtime ({_last_line(done.stderr)}); give the interpreter of "
            f"an environment with {' and '.join(_REQUIREMENTS)}"
        )
    return done.stdout.strip()


def _run(
    path: Path, inputs: Mapping[str, NDArray[np.float32]], python: Path
) -> dict[str, NDArray[np.float32]]:
    """Outputs by name.

    Raises:
        RuntimeFailure: it cannot load or run the file.
    """
    with tempfile.TemporaryDirectory(prefix="edge_pipeline.") as folder:
        given, gives = Path(folder, "inputs.npz"), Path(folder, "outputs.npz")
        np.savez(given, allow_pickle=False, **inputs)
        words = [str(board_program.__file__), str(path), str(given), str(gives)]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own interpreter, no shell
                [str(python), "-I", *words],
                capture_output=True,
                text=True,
                check=False,
                timeout=_RUN_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeFailure(f"it was not done after {_RUN_SECONDS:.0f} s") from error
        if done.returncode != 0:
            raise RuntimeFailure(f"it cannot be run: {_last_line(done.stderr)}")
        with np.load(gives, allow_pickle=False) as found:
            return {name: found[name] for name in found}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or ["it said nothing"]
    return lines[-1][:300]
