"""Runner that is the Android app of this project, preferred if it is installed on the phone.

An app's process has the libraries, the threads and the priority that programs have in practice,
which the process of a shell has not. docs/decisions/0044-app-benchmark.md has the reasons.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import tempfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge_pipeline.artifact.schema import Precision
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import EdgePipelineError, RuntimeFailure
from edge_pipeline.harness.devices.adb.instrumentation import (
    PACKAGE,
    PROTOCOL,
    Described,
    Instrumentation,
    Loading,
    NoBenchmarkError,
    Nothing,
    PeakMemory,
    Runs,
    Written,
)
from edge_pipeline.harness.devices.link import Link, pull_checked, run_checked
from edge_pipeline.harness.devices.runners import Place
from edge_pipeline.harness.protocol import Loaded, TimedRun
from edge_pipeline.harness.verification import read_outputs
from edge_pipeline.record import MemoryDetail

__all__ = ["AppRunner", "AppWorker"]

_BLOCK = 10
# Runs of an order before the timed ones, at least; the app continues until the times are stable.
_WARMUP = 10
_PART = r"(?!\.)[A-Za-z0-9_.-]+"


class AppRunner:
    """The app on the device.

    Args:
        link: Connection to the device.
    """

    pins = False
    # Without starting the app; every build of it has this runtime.
    backends = frozenset({"litert"})

    def __init__(self, link: Link) -> None:
        self.name = "edge-pipeline app"
        self._instrumentation = Instrumentation(link)
        self._described: Described | None = None

    def refusal(self, artifact: Artifact, size: tuple[int, int] | None) -> str | None:
        """Return the reason why the app cannot run an artifact; None if it can.

        Raises:
            RuntimeFailure: If the app crashes.
        """
        if size is not None:
            return "runs a program at the size of its reference input only"
        tensors = [t for p in artifact.manifest.programs for t in (*p.inputs, *p.outputs)]
        if any(tensor.dtype != "float32" for tensor in tensors):
            return "runs programs with float32 tensors only"
        try:
            found = self._describe()
        except NoBenchmarkError:
            return "has no benchmark; install the app of this version (make android)"
        if found.protocol != PROTOCOL:
            return f"is version {found.app}; install the app of this version (make android)"
        if artifact.manifest.backend not in found.backends:
            return f"runs {', '.join(sorted(found.backends)) or 'nothing'}"
        return None

    def install(self, _link: Link, _folder: str) -> None:
        """Do nothing: the user installs the app."""

    def start(self, place: Place) -> AppWorker:
        """Allow the app to read the artifact, and return a worker that orders its runs."""
        # Android allows apps to read below /data/local/tmp, if the permissions of the files do.
        session = posixpath.dirname(place.tools)
        run_checked(place.link, ["chmod", "755", session], "making a folder readable")
        run_checked(place.link, ["chmod", "-R", "a+rX", place.artifact], "making files readable")
        name = f"{self.name} {self._describe().app}"
        return AppWorker(self._instrumentation, place, name)

    def _describe(self) -> Described:
        if self._described is None:
            self._described = self._instrumentation.ask(
                Described, "describing itself", {"order": "describe"}
            )
        return self._described


class AppWorker:
    """A job that the app runs; a process of the app executes each order.

    Args:
        instrumentation: The app's instrumentation.
        place: The job.
        runner: Name of the app with its version.
    """

    block = _BLOCK

    def __init__(self, instrumentation: Instrumentation, place: Place, runner: str) -> None:
        self.runner = runner
        self.precision: Precision | None = None
        self.versions: dict[str, str] = {}
        self.open = True
        self._instrumentation = instrumentation
        self._place = place
        self._output = posixpath.basename(posixpath.dirname(place.tools))
        self._has_run = False
        self._has_written = False

    def load(self) -> Loaded:
        """Load the program in a new process of the app, and return the times."""
        found = self._instrumentation.ask(Loading, self._purpose("loading"), self._order("load"))
        self.versions = found.versions
        return Loaded(found.import_ns, found.init_ns)

    def run(self, count: int) -> list[TimedRun]:
        """Run the program in a new process of the app, and return the time of each run.

        The process warms up before, except for the first call, which measures the first run.

        Raises:
            RuntimeFailure: If the app fails or returns the times of another number of runs.
        """
        extras = {"runs": str(count), "warmup": str(_WARMUP if self._has_run else 0)}
        purpose = self._purpose("running")
        found = self._instrumentation.ask(Runs, purpose, self._order("run") | extras)
        if len(found.runs) != count:
            raise RuntimeFailure(
                f"the app on the phone returned {len(found.runs)} times instead of {count} "
                f"{purpose}"
            )
        self._has_run = True
        return [TimedRun(elapsed, preemptions) for elapsed, preemptions in found.runs]

    def memory(self) -> MemoryDetail | None:
        """Return the peak memory of a new process of the app; None if the phone does not tell."""
        purpose = self._purpose("measuring the memory of")
        return self._instrumentation.ask(PeakMemory, purpose, self._order("memory")).memory

    def outputs(self) -> dict[str, NDArray[Any]]:
        """Run the program on the artifact's reference input, and return its outputs by name.

        Raises:
            RuntimeFailure: If the app fails, or its file cannot be read.
            JobError: If the copy of its file is damaged.
        """
        self._has_written = True
        extras = self._order("outputs") | {"output": self._output}
        path = self._instrumentation.ask(Written, self._purpose("running"), extras).outputs
        pattern = rf"/(?:{_PART}/)+{re.escape(PACKAGE)}/files/bench/{self._output}/{_PART}"
        if not re.fullmatch(pattern, path):
            raise RuntimeFailure(
                f"the app on the phone wrote outputs to {path!r}, which is not in its folder"
            )
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "outputs.safetensors"
            pull_checked(self._place.link, path, local)
            return read_outputs(local)

    def close(self) -> None:
        """End the app, and let it remove its outputs; may be called more than once."""
        if not self.open:
            return
        self.open = False
        self._instrumentation.stop()
        if self._has_written:
            with contextlib.suppress(EdgePipelineError):  # the device may be lost
                extras = {"order": "clean", "output": self._output}
                self._instrumentation.ask(Nothing, "removing its outputs", extras)

    def _order(self, order: str) -> dict[str, str]:
        return {
            "order": order,
            "artifact": self._place.artifact,
            "program": self._place.job.program,
            "threads": str(self._place.threads),
        }

    def _purpose(self, verb: str) -> str:
        return f"{verb} {self._place.job.label}"
