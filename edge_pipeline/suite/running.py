"""Compilation and measurement of a suite, which continues where it was interrupted.

All artifacts are compiled first, because a compilation would disturb a measurement on this machine.
Then each lane measures its devices one after another. Devices of this machine share a lane; each
attached device has one of its own. The artifacts of one network take turns on a device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compiler.compile import CompileRequest, compile_model
from edge_pipeline.errors import ArtifactError, EdgePipelineError, StoppedError
from edge_pipeline.harness.bench import bench
from edge_pipeline.harness.devices.base import Device
from edge_pipeline.harness.devices.named import peaks_of
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.lanes import lanes_of, run_lanes
from edge_pipeline.record import Record, append_records, read_records
from edge_pipeline.suite.matrix import Case, Suite

__all__ = ["RECORDS", "Progress", "SuiteResult", "run_suite"]

RECORDS = "records.jsonl"
"""Name of the file of records in a suite's folder."""

_GROUP = 16


@dataclass
class Progress:
    """Functions that report what a suite does; they are called from several threads.

    Attributes:
        step: Called with the name of a device, or `compiling`, and a description of its next step.
        finished: Called with the name of a device and the records of a group of artifacts when they
            are stored.
        failed: Called with the name of a device, or `compiling`, a case's name and a reason.
    """

    step: Callable[[str, str], None] = lambda _device, _text: None
    finished: Callable[[str, Sequence[Record]], None] = lambda _device, _records: None
    failed: Callable[[str, str, str], None] = lambda _device, _case, _reason: None


@dataclass
class SuiteResult:
    """Numbers of a suite's measurements.

    Attributes:
        measured: Programs that were measured now.
        kept: Programs that an earlier run measured.
        wrong: Programs whose outputs were wrong.
        failures: Case and device of each one that was not measured, with the reason.
    """

    measured: int = 0
    kept: int = 0
    wrong: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def run_suite(
    suite: Suite,
    folder: Path,
    open_device: Callable[[str], Device],
    progress: Progress,
    stop: threading.Event,
) -> SuiteResult:
    """Compile and measure what is not measured yet.

    Args:
        suite: The suite.
        folder: Folder of the artifacts and the records.
        open_device: Function that returns the idle device of a name.
        progress: Functions that report what happens.
        stop: Ends the suite after the current run if it is set.

    Raises:
        StoppedError: If `stop` was set; all finished measurements are stored.
        InputError: If the records in the folder cannot be read, or a device is given twice.
    """
    lanes = lanes_of(suite.devices)
    run = _Run(suite, folder, open_device, progress, stop)
    run.compile()
    run_lanes(lanes, run.measure, stop)
    return run.result


class _Run:
    """State of a running suite."""

    def __init__(
        self,
        suite: Suite,
        folder: Path,
        open_device: Callable[[str], Device],
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self.result = SuiteResult()
        self._suite = suite
        self._folder = folder
        self._open_device = open_device
        self._progress = progress
        self._stop = stop
        self._lock = threading.Lock()
        self._artifacts: dict[str, list[tuple[Case, Artifact]]] = {}
        path = folder / RECORDS
        self._known = {_key(record) for record in (read_records(path) if path.exists() else ())}

    def compile(self) -> None:
        """Compile the artifacts that do not exist, and open all of them."""
        for case in self._suite.cases():
            self._check_stop()
            try:
                artifact = self._opened(case)
            except EdgePipelineError as error:
                self._fail("compiling", case.name, error)
            else:
                self._artifacts.setdefault(case.network.name, []).append((case, artifact))

    def measure(self, devices: Sequence[str]) -> None:
        """Measure all artifacts on each of the devices."""
        for name in devices:
            try:
                device = self._open_device(name)
            except EdgePipelineError as error:
                for pairs in self._artifacts.values():
                    for case, _ in pairs:
                        self._fail(name, case.name, error)
                continue
            for pairs in self._artifacts.values():
                left = self._left(pairs, device.name)
                for start in range(0, len(left), _GROUP):
                    self._check_stop()
                    self._group(device, name, dict(left[start : start + _GROUP]))

    def _group(self, device: Device, name: str, group: Mapping[str, Artifact]) -> None:
        """Measure some artifacts in turns, and store their records."""
        names = {artifact.folder: case for case, artifact in group.items()}

        def step(text: str) -> None:
            self._check_stop()
            self._progress.step(name, text)

        def refused(job: Job, reason: str) -> None:
            self._note(name, names[job.artifact.folder], reason)

        try:
            records = bench(
                list(names),
                device,
                replace(self._suite.protocol.settings(), peaks=peaks_of(name)),
                on_step=step,
                on_refused=refused,
            )
        except StoppedError:
            raise
        except EdgePipelineError as error:
            for case in group:
                self._fail(name, case, error)
            return
        append_records(self._folder / RECORDS, records)
        with self._lock:
            self.result.measured += len(records)
            self.result.wrong += sum(r.verification.result == "failed" for r in records)
        self._progress.finished(name, records)

    def _left(
        self, pairs: Sequence[tuple[Case, Artifact]], device: str
    ) -> list[tuple[str, Artifact]]:
        """Return the artifacts of which a program has no record of this device.

        Args:
            pairs: Cases and artifacts.
            device: Name of the opened device, as records have it.
        """
        threads, found = self._suite.protocol.threads, []
        for case, artifact in pairs:
            programs = [program.name for program in artifact.manifest.programs]
            keys = {(artifact.digest, program, device, threads) for program in programs}
            if keys <= self._known:
                with self._lock:
                    self.result.kept += len(keys)
            else:
                found.append((case.name, artifact))
        return found

    def _opened(self, case: Case) -> Artifact:
        if case.network.artifact is not None:
            return Artifact.open(case.network.artifact)
        path = self._folder / "artifacts" / case.name
        try:
            return Artifact.open(path)
        except ArtifactError:  # absent, or damaged
            self._progress.step("compiling", case.name)
        return compile_model(
            CompileRequest(
                source=str(case.network.source),
                output=path,
                backend=case.backend,
                options=case.network.options,
                filters=case.network.filters,
                precision=case.precision,
                size=case.network.size,
                target=self._suite.target,
                fixed={} if case.phi is None else {"phi": case.phi},
                force=True,
            )
        )

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StoppedError("the suite was stopped; the same command continues it")

    def _fail(self, device: str, case: str, error: EdgePipelineError) -> None:
        self._note(device, case, str(error))

    def _note(self, device: str, case: str, reason: str) -> None:
        with self._lock:
            self.result.failures[f"{case} on {device}"] = reason
        self._progress.failed(device, case, reason)


def _key(record: Record) -> tuple[str, str, str, int]:
    return record.artifact_digest, record.program, record.device, record.threads
