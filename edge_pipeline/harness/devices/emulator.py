"""An AArch64 machine that QEMU's user mode emulates on this one: right outputs, no times.

It reports whether artifacts compute right outputs on Arm, and the instructions of a run.
`harness/emulation` prepares it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from edge_pipeline.errors import InputError
from edge_pipeline.harness.devices.base import Attached, Device, Options
from edge_pipeline.harness.devices.link import Link
from edge_pipeline.harness.devices.linked import Kind, LinkedDevice
from edge_pipeline.harness.devices.local_link import LocalLink
from edge_pipeline.harness.devices.probe import Facts
from edge_pipeline.harness.devices.python_runner import Interpreter, PythonRunner
from edge_pipeline.harness.devices.runners import Place
from edge_pipeline.harness.emulation.counting import (
    ANSWER_S,
    count_instructions,
    plugin_words,
)
from edge_pipeline.harness.emulation.place import (
    BACKENDS,
    COMMAND,
    Prepared,
    locked,
    read_prepared,
)
from edge_pipeline.harness.emulation.prepare import QEMU, missing_programs, qemu_version
from edge_pipeline.harness.emulation.processor import CPU, PROCESSOR
from edge_pipeline.record import Environment, Instructions, Sensors

__all__ = ["attached", "open_device"]

_DESCRIPTION = (
    f"AArch64 machine, {PROCESSOR}: checks outputs and counts instructions, without times; without "
    "ExecuTorch, whose Python package requires a torch that is not part of it"
)


def open_device(address: str = "", _options: Options | None = None, /) -> Device:
    """Return the emulated machine as an idle device.

    Raises:
        InputError: If an address is given, or the emulator is not prepared.
    """
    if address:
        raise InputError(f"the device emulator has no address, got {address!r}")
    problem = missing_programs()
    if problem is not None:
        raise InputError(problem)
    machine = _Machine(read_prepared())
    kind = Kind(
        runners=lambda _link: [machine.runner],
        describe=machine.describe,
        facts=machine.facts,
        sensors=lambda _link: Sensors(),
        emulated=True,
        instructions=machine.instructions,
    )
    return LinkedDevice("emulator", _EmulatorLink(machine.prepared), kind)


def attached() -> Sequence[Attached]:
    """Return the emulated machine, or the reason why it cannot be used."""
    try:
        problem = missing_programs()
        if problem is None:
            read_prepared()
    except InputError as error:
        problem = str(error)
    runners = {} if problem else dict.fromkeys(BACKENDS, PythonRunner.NAME)
    return [Attached("emulator", _DESCRIPTION, runners, problem)]


class _EmulatorLink(LocalLink):
    """A local link during which the machine is not prepared again."""

    def __init__(self, prepared: Prepared) -> None:
        super().__init__()
        self._prepared = prepared
        self._stack = ExitStack()

    def connect(self) -> None:
        """Lock the machine and create the folder, unless that was done."""
        if not self.folder:
            with ExitStack() as stack:
                stack.enter_context(locked(exclusive=False))
                if read_prepared() != self._prepared:
                    raise InputError(
                        f"the emulator was prepared again; measure again after {COMMAND}"
                    )
                super().connect()
                self._stack = stack.pop_all()

    def close(self) -> None:
        """Remove the folder, and unlock the machine."""
        super().close()
        self._stack.close()


class _Machine:
    """The emulated machine's facts and runner."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self._qemu = shutil.which(QEMU) or QEMU
        root = prepared.folder / "root"
        interpreter = Interpreter(
            [self._qemu, "-cpu", CPU, "-L", str(root), str(root / prepared.python)],
            (
                ("PATH", "/usr/bin:/bin"),
                ("LANG", "C.UTF-8"),
                ("PYTHONDONTWRITEBYTECODE", "1"),
                ("PYTHONPATH", str(prepared.folder / "site")),
            ),
            # The variables of this machine name its libraries, which the emulated one cannot load.
            ("-i",),
        )
        self.runner = PythonRunner(
            frozenset(BACKENDS), lambda _link: interpreter, answer_s=ANSWER_S
        )

    def facts(self, _link: Link) -> Facts:
        """Return the facts that the machine reports; the memory is this machine's."""
        return Facts(
            model=f"AArch64 machine emulated by QEMU {qemu_version()}",
            processor=PROCESSOR,
            cores=self.prepared.cores,
            allowed=tuple(range(self.prepared.cores)),
            memory_bytes=psutil.virtual_memory().total,
            load_average_1min=None,
        )

    def describe(self, _link: Link, facts: Facts) -> Environment:
        """Return a description of the machine."""
        libc = self.prepared.packages.get("libc6", "unknown")
        return Environment(
            system_name=facts.model,
            host_processor_model_name=facts.processor,
            host_processor_core_count=facts.cores,
            host_memory_bytes=facts.memory_bytes,
            operating_system=f"Linux user mode aarch64, libc6 {libc}",
        )

    def instructions(self, place: Place) -> Instructions:
        """Count the instructions of a job's run."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "counts"
            words = self.runner.command(place.threads)
            after = words.index(self._qemu) + 1
            words[after:after] = plugin_words(self.prepared.folder / "count.so", out)
            return count_instructions(place, words, out, qemu_version())
