"""A device that is reached over a link: it copies artifacts there and runs them with a runner."""

from __future__ import annotations

import contextlib
import posixpath
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import EdgePipelineError, InputError
from edge_pipeline.harness.devices.base import DeviceStateError, Placement, State, Worker
from edge_pipeline.harness.devices.link import Link, push_checked, run_checked
from edge_pipeline.harness.devices.probe import Facts, cores_for, facts_of, sensors_of
from edge_pipeline.harness.devices.runners import MeasuresMemory, Place, Runner, choose_runner
from edge_pipeline.harness.job import Job
from edge_pipeline.record import Environment, Instructions, MemoryDetail, Sensors

__all__ = ["WORK_PREFIX", "Kind", "LinkedDevice"]

WORK_PREFIX = "edge_pipeline-"
"""Beginning of the names of all folders and files that the harness creates on a device."""

_OLD_MIN = "+1440"
_TOOLS = "tools"


@dataclass(frozen=True)
class Kind:
    """The parts in which devices that are reached over a link differ.

    Attributes:
        runners: Function that returns the runners of a machine, the preferred one first.
        facts: Function that reads the facts of a machine.
        describe: Function that adds the system's name and version to the facts.
        sensors: Function that reads the sensors.
        emulated: Whether an emulator runs the programs.
        instructions: Function that counts the instructions of a job; None if nothing counts them.
    """

    runners: Callable[[Link], Sequence[Runner]]
    describe: Callable[[Link, Facts], Environment]
    facts: Callable[[Link], Facts] = facts_of
    sensors: Callable[[Link], Sensors] = sensors_of
    emulated: bool = False
    instructions: Callable[[Place], Instructions] | None = None


@dataclass
class _Held:
    """State of an acquired device."""

    folder: str
    facts: Facts
    runners: Sequence[Runner]
    placement: Placement
    cpus: list[int] | None
    pushed: dict[str, str] = field(default_factory=dict)
    installed: set[str] = field(default_factory=set)
    has_unpinned: bool = False
    workers: list[Worker] = field(default_factory=list)

    @property
    def pinned(self) -> list[int] | None:
        """Processors on which all programs run; None if one of them cannot be pinned."""
        return None if self.has_unpinned else self.cpus


class LinkedDevice:
    """A device that is reached over a link.

    Every file is written into one folder of the session, which `release` removes.

    Args:
        name: Name of the device with its address.
        link: Connection to it.
        kind: The parts in which kinds of devices differ.
    """

    def __init__(self, name: str, link: Link, kind: Kind) -> None:
        self.name = name
        self.emulated = kind.emulated
        self._link = link
        self._kind = kind
        self._held: _Held | None = None

    @property
    def state(self) -> State:
        """Current state of the device."""
        if self._held is None:
            return State.IDLE
        is_open = any(getattr(worker, "open", False) for worker in self._held.workers)
        return State.ACTIVE if is_open else State.HELD

    def acquire(self, placement: Placement) -> None:
        """Connect, choose processors and create the folder of the session.

        Raises:
            InputError: If there is no such device, or it does not have these processors.
            DeviceLostError: If the connection ends.
            DeviceStateError: If the device is not idle.
        """
        if self._held is not None:
            raise DeviceStateError(f"device {self.name} is {self.state.value}; it must be idle")
        self._link.connect()
        with contextlib.ExitStack() as stack:
            stack.callback(self._link.close)
            facts = self._kind.facts(self._link)
            cpus = cores_for(placement.cores, facts, placement.threads)
            self._remove_old_folders()
            folder = posixpath.join(self._link.folder, WORK_PREFIX + secrets.token_hex(6))
            stack.callback(self._remove, folder)
            run_checked(self._link, ["mkdir", "-p", f"{folder}/{_TOOLS}"], "making a folder")
            self._held = _Held(folder, facts, self._kind.runners(self._link), placement, cpus)
            stack.pop_all()

    def describe(self) -> Environment:
        """Return a description of the machine and its settings."""
        held = self._demand()
        return self._kind.describe(self._link, held.facts).model_copy(
            update={
                "pinned_cpus": None if held.pinned is None else tuple(held.pinned),
                "governor": _governor(held),
                "load_average_1min": held.facts.load_average_1min,
            }
        )

    def warnings(self) -> list[str]:
        """Return a sentence on each possible disturbance."""
        held = self._demand()
        if self.emulated:
            return ["the device is emulated, so times mean nothing and were not recorded"]
        found = []
        load = held.facts.load_average_1min
        if load is not None and load > held.facts.cores - held.placement.threads + 0.5:
            found.append(f"the load average was {load:.1f} on {held.facts.cores} CPUs")
        if held.pinned is None:
            found.append("the program was not pinned to processors")
        governor = _governor(held)
        if governor not in (None, "performance"):
            found.append(f"the frequency governor is {governor}, not performance")
        return found

    def sensors(self) -> Sensors:
        """Return the readings of the sensors now."""
        self._demand()
        return self._kind.sensors(self._link)

    def refusal(self, job: Job) -> str | None:
        """Return a sentence if no runner can run a job's artifact, or None."""
        held = self._require_held()
        try:
            # Before `describe`, which says whether all programs are pinned.
            held.has_unpinned |= not self._runner(job).pins
        except InputError as error:
            return str(error)
        return None

    def place(self, job: Job) -> Worker:
        """Copy the job's artifact, and start a worker for it.

        Raises:
            InputError: If no runner of the device can run the artifact.
            JobError: If the artifact cannot be copied, or the worker cannot be started.
        """
        held = self._demand()
        runner = self._runner(job)
        worker = runner.start(self._place(job, runner))
        held.workers.append(worker)
        return worker

    def peak_memory(self, job: Job) -> MemoryDetail | None:
        """Return the job's peak memory; None if its runner does not measure it.

        Raises:
            DeviceStateError: If a worker is open.
        """
        self._require_held()
        worker = self.place(job)
        try:
            return worker.memory() if isinstance(worker, MeasuresMemory) else None
        finally:
            worker.close()

    def instructions(self, job: Job) -> Instructions | None:
        """Return the instructions of a run; None if nothing counts them.

        Raises:
            DeviceStateError: If a worker is open.
        """
        self._require_held()
        if self._kind.instructions is None:
            return None
        return self._kind.instructions(self._place(job, self._runner(job)))

    def release(self) -> None:
        """Remove the session's folder from the device, and disconnect.

        If the connection was lost, it is made again for this; if that is impossible, a later
        measurement on the device removes the folder, after a day.

        Raises:
            DeviceStateError: If the device is not held, or a worker is open.
        """
        held = self._require_held()
        self._held = None
        self._remove(held.folder)
        self._link.close()

    def _remove(self, folder: str) -> None:
        """Remove a folder of the device, if it can be reached."""
        with contextlib.suppress(EdgePipelineError):
            self._link.connect()
            self._link.run(["rm", "-rf", folder], timeout_s=60)

    def _remove_old_folders(self) -> None:
        """Remove what measurements left that were ended or lost the device a day ago or earlier."""
        words = ["find", self._link.folder, "-mindepth", "1", "-maxdepth", "1"]
        words += ["-name", f"{WORK_PREFIX}*", "-mmin", _OLD_MIN, "-exec", "rm", "-rf", "{}", "+"]
        self._link.run(words, timeout_s=60)

    def _runner(self, job: Job) -> Runner:
        """Return the runner for a job.

        Raises:
            InputError: If none can run its artifact.
        """
        held = self._demand()
        cores = held.placement.cores
        return choose_runner(held.runners, self.name, job.artifact, job.size, cores)

    def _place(self, job: Job, runner: Runner) -> Place:
        held = self._demand()
        tools = f"{held.folder}/{_TOOLS}"
        if runner.name not in held.installed:
            runner.install(self._link, tools)
            held.installed.add(runner.name)
        folder = self._pushed(job.artifact)
        threads = held.placement.threads
        cpus = held.cpus if runner.pins else None
        scratch = _scratch(folder, job.program)
        return Place(self._link, job, folder, scratch, tools, threads, cpus)

    def _pushed(self, artifact: Artifact) -> str:
        """Return the folder of an artifact on the device, after copying the missing files."""
        held = self._demand()
        if artifact.digest not in held.pushed:
            folder = posixpath.join(held.folder, artifact.digest[:16])
            names = sorted(p for p in artifact.folder.rglob("*") if p.is_file())
            parents = {posixpath.join(folder, _parent(artifact, path)) for path in names}
            parents |= {_scratch(folder, program.name) for program in artifact.manifest.programs}
            run_checked(self._link, ["mkdir", "-p", *sorted(parents)], "making folders")
            inside = {path.relative_to(artifact.folder).as_posix(): path for path in names}
            push_checked(self._link, {f"{folder}/{name}": path for name, path in inside.items()})
            held.pushed[artifact.digest] = folder
        return held.pushed[artifact.digest]

    def _demand(self) -> _Held:
        if self._held is None:
            raise DeviceStateError(f"device {self.name} is idle; it must be held")
        return self._held

    def _require_held(self) -> _Held:
        held = self._demand()
        if self.state is not State.HELD:
            raise DeviceStateError(f"device {self.name} is active; it must be held")
        return held


def _governor(held: _Held) -> str | None:
    """Return the frequency governors of the processors in use; None if they are unknown."""
    governors = {held.facts.governors.get(cpu) for cpu in held.pinned or held.facts.governors}
    return ", ".join(sorted(name for name in governors if name)) or None


def _scratch(folder: str, program: str) -> str:
    """Return the folder for the outputs of a program of the artifact in `folder`."""
    return f"{folder}-{program}"


def _parent(artifact: Artifact, path: object) -> str:
    inside = PurePosixPath(str(path)).relative_to(PurePosixPath(str(artifact.folder)))
    return inside.parent.as_posix()
