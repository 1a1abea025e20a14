"""The whole test bed: a sandbox, the device in front of it, and what a test may change."""

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.adb_bed import holder
from tests.adb_bed.device import Device
from tests.adb_bed.faults import Faults
from tests.adb_bed.prepare import NotPrepared
from tests.adb_bed.sandbox import DATA_BYTES, Proot, open_sandbox
from tests.adb_bed.sensors import Sensors

__all__ = ["WORK", "AdbBed", "wait_until"]

WORK = "/data/local/tmp"
POLL_S = 0.01
COMM_BYTES = 15


class AdbBed:
    """A phone that is not there.

    Attributes:
        port: Where the device listens on 127.0.0.1.
        root: The phone's root as a path of this machine; never resolve it.
        faults: What goes wrong on the link.
        sensors: Properties, temperatures, battery, cores, packages.
    """

    def __init__(self, kind: str | None = None, data_bytes: int = DATA_BYTES) -> None:
        """Start the bed.

        Args:
            kind: namespaces or proot; by default the first that works.
            data_bytes: The size of /data; only namespaces limit it.

        Raises:
            NotPrepared: The bed cannot run here; the text says why and what to do.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="adb-bed-", ignore_cleanup_errors=True)
        self._is_closing = threading.Event()
        self._watchers: list[threading.Thread] = []
        try:
            self.sandbox = open_sandbox(Path(self._folder.name), kind, data_bytes)
        except BaseException:
            self._folder.cleanup()
            raise
        self.root = self.sandbox.root
        self.faults = Faults()
        self.sensors = Sensors(self.root)
        self._device = Device(self.sandbox, self.faults, self.sensors.property)
        self.port = self._device.port

    @property
    def serial(self) -> str:
        """The name by which adb knows the device."""
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """End the device and every process of the sandbox, and remove its files."""
        self._is_closing.set()
        for watcher in self._watchers:
            watcher.join()
        self._device.unplug()
        self.sandbox.close()  # before the device, which collects the processes that entered it
        self._device.close()
        self._folder.cleanup()

    def plug(self) -> None:
        """Listen again on the same port."""
        self._device.plug()

    def unplug(self) -> None:
        """Pull the cable: connections end, new ones are refused."""
        self._device.unplug()

    def drop_links(self) -> None:
        """Cut the connections; hosts may connect again."""
        self._device.drop_links()

    def go_offline(self) -> None:
        """Cut the connections, and accept new ones without ever answering."""
        self.faults.answers = False
        self._device.drop_links()

    def authorize(self) -> None:
        """Accept the waiting hosts' keys, after `faults.is_authorized` was set to False."""
        self._device.authorize()

    def require_namespaces(self) -> None:
        """Skip the test if only proot works here.

        proot cannot limit /data, protect the rest of the tree, refuse programs of this machine,
        leave a program in the background, or report a signal.
        """
        if isinstance(self.sandbox, Proot):
            raise NotPrepared("this test needs user namespaces with binfmt_misc (Linux 6.7)")

    def fill_disk(self, free_bytes: int = 0) -> None:
        """Leave only this much space on /data."""
        self.require_namespaces()
        self.sandbox.resize(free_bytes)

    def set_abi(self, abi: str) -> None:
        """Become a phone with another processor, which cannot execute pushed AArch64 programs.

        Copies of the phone's own busybox are not refused; `prepare.find_prepared().busybox` is.

        Args:
            abi: What ro.product.cpu.abi says, such as x86_64 or armeabi-v7a.
        """
        self.require_namespaces()
        self.sensors.set_property("ro.product.cpu.abi", abi)
        self.sensors.set_property("ro.product.cpu.abilist", abi)
        line = holder.registration("other", holder.AARCH64, "/system/bin/refuse", "P")
        self.sandbox.run(f"echo '{line}' > /proc/sys/fs/binfmt_misc/register")  # newest is first

    def processes(self, text: str = "") -> list[int]:
        """The ids on this machine of the sandbox's processes whose command contains this text."""
        return [pid for pid in self.sandbox.processes() if text in _read(pid, "cmdline")]

    def running(self, program: str) -> list[int]:
        """The ids on this machine of the processes that execute a program of this name."""
        name = program[:COMM_BYTES] + "\n"
        return [pid for pid in self.sandbox.processes() if _read(pid, "comm") == name]

    def crash(self, program: str, number: int = signal.SIGSEGV, after_s: float = 0.0) -> None:
        """Send a signal to the next process that executes a program of this name.

        Args:
            program: The name of a pushed program's file, such as runner.
            number: SIGSEGV ends it, SIGSTOP freezes it.
            after_s: How long it runs before.
        """
        work = (program, number, after_s)
        watcher = threading.Thread(target=self._watch, args=work, daemon=True)
        watcher.start()
        self._watchers.append(watcher)

    def freeze(self, program: str) -> None:
        """Stop the next process that executes a program of this name for ever."""
        self.crash(program, signal.SIGSTOP)

    def _watch(self, program: str, number: int, after_s: float) -> None:
        while not self._is_closing.wait(POLL_S):
            for pid in self.running(program):
                self._is_closing.wait(after_s)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                    self.faults.happened.append(f"signal {number} {program}")
                    return


def wait_until(condition: Callable[[], object], limit_s: float = 10) -> None:
    """Wait until a condition is true.

    Raises:
        TimeoutError: It was not within the limit.
    """
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"a condition was not true within {limit_s} s")
        time.sleep(POLL_S)


def _read(pid: int, name: str) -> str:
    """A file of /proc with spaces for NULs; empty if the process has ended."""
    try:
        data = Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return ""
    return data.replace(b"\0", b" ").decode(errors="replace")
