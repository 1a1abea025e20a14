"""The Python of a board: one that the user names, or an environment that is made there once."""

from __future__ import annotations

import hashlib
import json
import posixpath
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.harness.devices import board_setup
from edge_pipeline.harness.devices.link import Link
from edge_pipeline.harness.devices.python_runner import Interpreter, PythonRunner
from edge_pipeline.harness.devices.requirements import WORKER_PACKAGES, requirements_of

__all__ = ["board_runners"]

BACKENDS = ("onnx", "litert", "executorch")
# torch's wheels on PyPI contain CUDA libraries, which a board without them cannot load.
_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
# pip downloads hundreds of megabytes on a board.
_BUILD_S = 3600.0
_FOUND = "import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n)])"
_NOT_FOUND = (126, 127)


def board_runners(
    name: str, link: Link, python: str | None, on_step: Callable[[str], None]
) -> list[PythonRunner]:
    """Return the runners of a board with Python.

    Args:
        name: Name of the device, for messages.
        link: Connection to the board.
        python: Path on the board of a Python that has the worker's requirements; None for an
            environment that is made when a runner is installed.
        on_step: Function that is called with a description of each step of making it.

    Raises:
        InputError: If `python` does not exist, or lacks a requirement.
    """
    if python is not None:
        found = _backends_of(name, link, python)
        return [PythonRunner(found, lambda _link: Interpreter([python]))]
    return [_built_runner(name, backend, on_step) for backend in BACKENDS]


def _built_runner(name: str, backend: str, on_step: Callable[[str], None]) -> PythonRunner:
    def build(link: Link) -> Interpreter:
        return Interpreter([_environment(name, link, backend, on_step)])

    return PythonRunner(frozenset({backend}), build, f"{PythonRunner.NAME} ({backend})")


def _backends_of(name: str, link: Link, python: str) -> frozenset[str]:
    """Return the backends whose runtimes a Python has."""
    runtimes = {"onnx": "onnxruntime", "litert": "ai_edge_litert", "executorch": "executorch"}
    answer = link.run([python, "-c", _FOUND, *WORKER_PACKAGES, *runtimes.values()])
    if answer.code:
        raise InputError(
            f"{name} cannot run the Python {python}; change `python` in the profile of the device"
        )
    found = answer.stdout.split()
    missing = [package for package in WORKER_PACKAGES if package not in found]
    if missing:
        raise InputError(
            f"the Python {python} of {name} lacks {', '.join(missing)}; install them there"
        )
    return frozenset(backend for backend, module in runtimes.items() if module in found)


def _environment(name: str, link: Link, backend: str, on_step: Callable[[str], None]) -> str:
    """Return the path of the Python of an environment for a backend, made there if necessary."""
    requirements = requirements_of(backend)
    options: list[str] = []
    if backend == "executorch":
        options = ["--extra-index-url", _TORCH_INDEX]
        requirements = [f"{r}+cpu" if r.startswith("torch==") else r for r in requirements]
    version = link.run(["python3", "-c", "import platform as p; print(p.python_version())"])
    if version.code in _NOT_FOUND:
        raise InputError(f"{name} has no python3; install it there, for example with apt-get")
    key = json.dumps([version.stdout.strip(), requirements, options])
    order = {
        "root": posixpath.dirname(link.folder),
        "name": f"env-{hashlib.sha256(key.encode()).hexdigest()[:16]}",
        "requirements": requirements,
        "options": options,
    }
    last: dict[str, Any] = {}
    with tempfile.TemporaryFile() as stderr:
        for last in _answers(link, ["python3", "-", json.dumps(order)], stderr):
            if "step" in last:
                on_step(f"{last['step']} on {name}")
    if "python" in last:
        return str(last["python"])
    link.run(["true"])  # raises if the connection ended
    if "error" not in last:
        raise JobError(f"making a Python environment on {name} ended without a result")
    raise _failure(name, str(last["error"]), str(last["detail"]), version.stdout.strip())


def _answers(link: Link, words: list[str], stderr: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Run the set-up on the board, and yield its lines."""
    process = link.start(words, stderr)
    watch = threading.Timer(_BUILD_S, process.kill)
    watch.start()
    try:
        if process.stdin is None or process.stdout is None:
            return
        try:
            process.stdin.write(Path(board_setup.__file__).read_text(encoding="utf-8"))
            process.stdin.close()
        except OSError:
            return
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
    finally:
        watch.cancel()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _failure(name: str, kind: str, detail: str, version: str) -> InputError | JobError:
    """Return the error of a set-up that failed."""
    if kind == "old":
        return InputError(
            f"{name} has Python {detail}; the worker requires 3.11 or later, so install one and "
            "name it as `python` in a profile of the device"
        )
    if kind == "venv":
        return InputError(
            f"the Python of {name} cannot make environments; install its module venv, for example "
            "with: apt-get install python3-venv"
        )
    if kind == "wheel":
        return InputError(
            f"there is no wheel of {detail} for Python {version} and the processor of {name}; "
            "name a Python that has the runtime as `python` in a profile of the device"
        )
    if kind == "network":
        return JobError(f"{name} cannot reach the package index; connect it to a network once")
    if kind == "disk":
        return JobError(f"the Python environment cannot be stored on {name}: {detail}")
    return JobError(f"pip could not install the worker's requirements on {name}")
