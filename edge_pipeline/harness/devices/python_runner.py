"""The Python worker on another machine: its interpreter, and the package that is sent to it."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.harness.devices.bundle import bundle_bytes, bundle_name
from edge_pipeline.harness.devices.link import Link, push_checked, run_checked
from edge_pipeline.harness.devices.runners import Place, ProcessRunner
from edge_pipeline.harness.process import (
    ANSWER_S,
    PYTHON_WORKER,
    THREAD_VARIABLES,
    ProcessWorker,
)

__all__ = ["Interpreter", "PythonRunner"]

_PREFIX = "edge_pipeline-"


@dataclass(frozen=True)
class Interpreter:
    """A Python of the other machine that has the worker's requirements.

    Attributes:
        words: Command that starts it.
        variables: Environment variables that it needs; PYTHONPATH comes before the package's.
        env_options: Options of the program `env` that sets them.
    """

    words: Sequence[str]
    variables: tuple[tuple[str, str], ...] = ()
    env_options: tuple[str, ...] = ()


class PythonRunner:
    """Runs artifacts with this package's worker, a copy of which it sends to the machine.

    Args:
        backends: Backends whose artifacts it runs.
        interpreter: Function that returns the interpreter, and makes its environment first if that
            is necessary.
        name: Name for the record.
        answer_s: Longest time that the worker may take for an answer, in seconds.
    """

    NAME = PYTHON_WORKER
    pins = True

    def __init__(
        self,
        backends: frozenset[str],
        interpreter: Callable[[Link], Interpreter],
        name: str = NAME,
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.name = name
        self.backends = backends
        self._interpreter = interpreter
        self._before: list[str] = []
        self._words: list[str] = []
        self._answer_s = answer_s
        self._plain = ProcessRunner(name, [], backends)

    def refusal(self, artifact: Artifact, size: tuple[int, int] | None) -> str | None:
        """Return the reason why the worker cannot run an artifact; None if it can."""
        return self._plain.refusal(artifact, size)

    def install(self, link: Link, _folder: str) -> None:
        """Find or make the environment, and copy the package unless it is there."""
        interpreter = self._interpreter(link)
        content = bundle_bytes()
        target = posixpath.join(link.folder, _PREFIX + bundle_name(content))
        run_checked(link, ["mkdir", "-p", link.folder], "making a folder")
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "package.zip"
            source.write_bytes(content)
            push_checked(link, {target: source})
        variables = dict(interpreter.variables)
        path = ":".join(filter(None, (variables.get("PYTHONPATH"), target)))
        variables |= {"PYTHONPATH": path, "ORT_DISABLE_TELEMETRY": "1"}
        pairs = [f"{name}={value}" for name, value in variables.items()]
        self._before = ["env", *interpreter.env_options]
        self._words = [*pairs, *interpreter.words, "-s", "-P", "-m", PYTHON_WORKER]

    def command(self, threads: int) -> list[str]:
        """Return the command of the worker for a number of threads, after `install`."""
        threaded = [f"{name}={threads}" for name in THREAD_VARIABLES]
        return [*self._before, *threaded, *self._words]

    def start(self, place: Place) -> ProcessWorker:
        """Start the worker."""
        words = self.command(place.threads)
        return ProcessRunner(self.name, words, self.backends, answer_s=self._answer_s).start(place)
