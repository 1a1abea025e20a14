"""Checks of a `.tflite` file with tflite-runtime 2.14, which many boards still use.

This runtime requires NumPy 1, so it runs in a separate environment and process.
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

# The last release, whose wheels are for CPython 3.8 to 3.11.
_RELEASE = "2.14.0"
_NEWEST_PYTHON = (3, 11)
_COMMANDS = ("python3.11", "python3.10", "python3.9", "python3.8")
_REQUIREMENTS = (f"tflite-runtime=={_RELEASE}", "numpy<2")
_READY = "ready"
_PIP_SECONDS = 600.0
_RUN_SECONDS = 600.0
_VERSION = "import importlib.metadata as m; print(m.version('tflite-runtime'))"


@dataclass(frozen=True)
class BoardCheck:
    """The result of running a program with tflite-runtime.

    Attributes:
        program: Name of the program.
        runtime: `tflite-runtime` and its version.
        max_rel: Largest error over the reference's largest magnitude, for the worst output; None if
            the program did not run.
        complaint: Clause that describes the failure; None if the outputs agree.
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
        """Return the sentence for the manifest's notes."""
        if self.complaint is None:
            return f"{self.program}: checked with {self.runtime}: relative error {self.max_rel:.2g}"
        return f"{self.program}: requires LiteRT: with {self.runtime} {self.complaint}"


def unchecked_note(program: str) -> str:
    """Return the sentence for the manifest's notes about a program that was not checked."""
    return f"{program}: requires LiteRT: it was not checked with tflite-runtime {_RELEASE}"


def check_board(
    path: Path,
    spec: ProgramSpec,
    precision: Precision,
    inputs: Mapping[str, NDArray[np.float32]],
    expected: Mapping[str, NDArray[np.float32]],
    python: Path,
) -> BoardCheck:
    """Run a program with another Python's tflite-runtime, and compare its outputs with eager's.

    If the runtime cannot load the file or computes other values, the result says so; this is not
    raised as an error.

    Args:
        path: The `.tflite` file.
        spec: The manifest's entry of the program.
        precision: Precision of the file, which determines the tolerance.
        inputs: Arrays by tensor name.
        expected: Eager's outputs for `inputs`, by tensor name.
        python: Python interpreter of an environment with tflite-runtime.

    Raises:
        InputError: If `python` is not such an interpreter, or an input does not fit the program.
    """
    runtime = f"tflite-runtime {_version(python)}"
    values, sizes = check_inputs(spec, inputs)
    named = {t.name: value for t, value in zip(spec.inputs, values, strict=True)}
    try:
        found = _run(path, (spec.name,) if spec.fixed else (), named, python)
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
    """Create an environment with tflite-runtime 2.14 and NumPy 1 from PyPI, unless it exists.

    Args:
        folder: Folder of the environments; this one takes about 100 MB in a subfolder.

    Returns:
        Path of the environment's Python interpreter.

    Raises:
        InputError: If this Python is too new for tflite-runtime and no older one is found.
        RuntimeFailure: If the environment cannot be created; the message contains the last line
            that Python or pip printed.
    """
    creator, digits = _creator()
    place = folder / f"tflite-runtime-{_RELEASE}-py{digits}"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if (place / _READY).exists():
        return python
    shutil.rmtree(place, ignore_errors=True)  # left by an interrupted installation
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _call([creator, "-m", "venv", str(place)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _call([*pip, "--only-binary=:all:", *_REQUIREMENTS])
        (place / _READY).touch()
    except OSError as error:
        raise RuntimeFailure(
            f"the environment {place} cannot be created: {error.strerror}"
        ) from error
    return python


def _creator() -> tuple[str, str]:
    """Return a Python that has wheels of tflite-runtime, this one if possible, and its digits."""
    if sys.version_info[:2] <= _NEWEST_PYTHON:
        return sys.executable, f"{sys.version_info[0]}{sys.version_info[1]}"
    for name in _COMMANDS:
        found = shutil.which(name)
        if found is not None and _runs(found):
            return found, name.removeprefix("python").replace(".", "")
    raise InputError(
        f"tflite-runtime {_RELEASE} has wheels for Python 3.8 to 3.11, and this is Python "
        f"{sys.version_info[0]}.{sys.version_info[1]}; install one of {', '.join(_COMMANDS)}, or "
        f"give the interpreter of an environment with {' and '.join(_REQUIREMENTS)}"
    )


def _runs(python: str) -> bool:
    """Return whether a command is a Python that can create environments, not a mere stub."""
    check = [python, "-c", "import ensurepip"]
    done = subprocess.run(check, capture_output=True, check=False)  # noqa: S603 - no shell
    return done.returncode == 0


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - Python itself, no shell
            command, capture_output=True, text=True, check=False, timeout=_PIP_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeFailure(
            f"creating an environment with tflite-runtime {_RELEASE} took more than "
            f"{_PIP_SECONDS:.0f} s"
        ) from error
    if done.returncode != 0:
        raise RuntimeFailure(
            f"an environment cannot be created with tflite-runtime {_RELEASE}, which has wheels "
            f"for Python 3.8 to 3.11: {_last_line(done.stderr or done.stdout)}"
        )


def _version(python: Path) -> str:
    """Return the version of an interpreter's tflite-runtime."""
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
    path: Path, signature: tuple[str, ...], inputs: Mapping[str, NDArray[np.float32]], python: Path
) -> dict[str, NDArray[np.float32]]:
    """Run a file's signature, by default its only one, and return its outputs by name.

    Raises:
        RuntimeFailure: If tflite-runtime cannot load or run the file.
    """
    with tempfile.TemporaryDirectory(prefix="edge_pipeline.") as folder:
        given, gives = Path(folder, "inputs.npz"), Path(folder, "outputs.npz")
        np.savez(given, allow_pickle=False, **inputs)
        words = [str(board_program.__file__), str(path), str(given), str(gives), *signature]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own interpreter, no shell
                [str(python), "-I", *words],
                capture_output=True,
                text=True,
                check=False,
                timeout=_RUN_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeFailure(f"it did not finish within {_RUN_SECONDS:.0f} s") from error
        if done.returncode != 0:
            raise RuntimeFailure(f"it cannot be run: {_last_line(done.stderr)}")
        with np.load(gives, allow_pickle=False) as found:
            return {name: found[name] for name in found}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or ["no message was printed"]
    return lines[-1][:300]
