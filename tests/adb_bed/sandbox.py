"""The phone's system: a process tree of its own in which AArch64 programs run under an emulator.

`open_sandbox` takes namespaces where the kernel has them (Linux 6.7 or newer, user namespaces
allowed), else proot. In both, a shell sees the same tree.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from tests.adb_bed import holder
from tests.adb_bed.prepare import NotPrepared, Prepared, find_prepared
from tests.adb_bed.tree import build_tree

__all__ = ["DATA_BYTES", "Namespaces", "Proot", "Sandbox", "open_sandbox", "resolve"]

DATA_BYTES = 192 << 20
SHELL = "/system/bin/sh"
START_S = 20
MAX_LINKS = 40
ENVIRONMENT = {
    "PATH": "/product/bin:/system/bin:/system/xbin:/vendor/bin",
    "ANDROID_DATA": "/data",
    "ANDROID_ROOT": "/system",
    "HOME": "/",
    "SHELL": SHELL,
    "TERM": "dumb",
    "TMPDIR": "/data/local/tmp",
    "USER": "shell",
}


class Sandbox(Protocol):
    """A running system.

    Attributes:
        root: The phone's root as a path of this machine. Never resolve it: it may be a link of
            the kernel. `on_host` keeps links of the phone inside.
        has_size_limit: Whether /data has a fixed size.
    """

    root: Path
    has_size_limit: bool

    def command(self, text: str) -> list[str]:
        """The command of this machine that runs a shell command in the sandbox."""

    def environment(self) -> dict[str, str]:
        """The variables for `command`."""

    def on_host(self, path: str, *, follow: bool = True) -> Path:
        """A path of the phone as a path of this machine, which cannot leave the sandbox."""

    def processes(self) -> list[int]:
        """The ids, on this machine, of the processes that run in the sandbox."""

    def run(self, text: str) -> str:
        """Run a shell command at once and return its output."""

    def resize(self, free_bytes: int) -> None:
        """Give /data a size that leaves this much space free."""

    def close(self) -> None:
        """End every process of the sandbox, and forget its files."""


def resolve(root: Path, path: str, *, follow: bool) -> Path:
    """Follow links as a system would whose root is `root`; the last one only if `follow`.

    Raises:
        OSError: Links form a loop.
    """
    left = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    found: list[str] = []
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            del found[-1:]
            continue
        here = root.joinpath(*found, part)
        if (left or follow) and here.is_symlink():
            links += 1
            if links > MAX_LINKS:
                raise OSError(40, os.strerror(40), path)
            target = str(here.readlink())
            if target.startswith("/"):
                found.clear()
            left += [piece for piece in reversed(target.split("/")) if piece not in ("", ".")]
        else:
            found.append(part)
    return root.joinpath(*found)


def program(name: str) -> str:
    """The path of a program of this machine.

    Raises:
        NotPrepared: It is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise NotPrepared(f"{name} is missing; on Debian: apt-get install proot util-linux")
    return path


def _parent(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


class _Base:
    root: Path

    def on_host(self, path: str, *, follow: bool = True) -> Path:
        return resolve(self.root, path, follow=follow)

    def environment(self) -> dict[str, str]:
        return dict(ENVIRONMENT)

    def command(self, text: str) -> list[str]:
        raise NotImplementedError

    def run(self, text: str) -> str:
        done = subprocess.run(
            self.command(text),
            check=True,
            capture_output=True,
            text=True,
            timeout=START_S,
            env=self.environment(),
        )
        return done.stdout


class Namespaces(_Base):
    """A sandbox of user, mount and process namespaces with binfmt_misc inside."""

    has_size_limit = True

    def __init__(self, folder: Path, prepared: Prepared, data_bytes: int = DATA_BYTES) -> None:
        """Start the sandbox from a folder that `build_tree` has filled.

        Raises:
            NotPrepared: The kernel does not allow it.
        """
        mounted = folder.with_name(folder.name + ".mounted")
        mounted.mkdir()
        program("nsenter")
        unshare = [program("unshare"), "-U", "-r", "-m", "-p", "-f", "--kill-child"]
        python = [sys.executable, "-I", "-S", holder.__file__]
        places = [str(folder), str(mounted), str(data_bytes), str(prepared.emulator)]
        self._process = subprocess.Popen(
            [*unshare, "--propagation", "private", *python, *places],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            lines = self._process.stderr.read().strip().splitlines() or ["no message"]
            self._process.wait(START_S)
            raise NotPrepared(f"namespaces cannot be used: {lines[-1]}")
        self.holder = int(line)
        self.root = Path(f"/proc/{self.holder}/root")
        self._namespace = self._namespace_of(self.holder)

    def command(self, text: str) -> list[str]:
        enter = [program("nsenter"), "-t", str(self.holder), "-U", "-m", "-p", "-r", "-w"]
        enter.append("--preserve-credentials")
        return [program("prlimit"), "--core=0", *enter, SHELL, "-c", text]

    def processes(self) -> list[int]:
        ids = [int(name.name) for name in Path("/proc").iterdir() if name.name.isdecimal()]
        inside = [pid for pid in ids if self._namespace_of(pid) == self._namespace]
        return [pid for pid in inside if pid != self.holder]

    def resize(self, free_bytes: int) -> None:
        space = os.statvfs(self.root / "data")
        size = (space.f_blocks - space.f_bfree) * space.f_frsize + free_bytes
        self.run(f"mount -t tmpfs -o remount,nosuid,size={size} tmpfs /data")

    def close(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        parents = [pid for pid in map(_parent, self.processes()) if pid is not None]
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.holder, signal.SIGKILL)  # ends all processes of its namespace
        for pid in parents:  # nsenter stops together with its child; it must collect that
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "nsenter\n":
                    os.kill(pid, signal.SIGCONT)
        self._process.wait(START_S)
        self._process.stdout.close()  # type: ignore[union-attr]
        self._process.stderr.close()  # type: ignore[union-attr]

    @staticmethod
    def _namespace_of(pid: int) -> str | None:
        with contextlib.suppress(OSError):
            return str(Path(f"/proc/{pid}/ns/pid").readlink())
        return None


class Proot(_Base):
    """A sandbox that proot simulates: /data has no limit, and `ps` shows this machine.

    proot ends only after all that it started, so programs in the background keep a shell open.
    """

    has_size_limit = False

    def __init__(self, folder: Path, prepared: Prepared) -> None:
        """Start from a folder that `build_tree` has filled.

        Raises:
            NotPrepared: proot is missing or cannot run a program.
        """
        program("proot")
        self.root = folder
        self._emulator = prepared.emulator
        self._mark = f"EDGE_PIPELINE_BED={folder}"
        for name in ("data/local/tmp", "data/media/0"):
            (folder / name).mkdir(parents=True)
        (folder / "sys").rmdir()
        (folder / "sys").symlink_to("bed/sys")
        done = subprocess.run(
            self.command("true"), env=self.environment(), capture_output=True, timeout=START_S
        )
        if done.returncode:
            raise NotPrepared(f"proot cannot be used: it ended with code {done.returncode}")

    def command(self, text: str) -> list[str]:
        binds = ["-b", "/proc", "-b", "/dev", "-b", f"{self.root}/bed/cpuinfo:/proc/cpuinfo"]
        places = ["-q", str(self._emulator), "-r", str(self.root), *binds, "-w", "/"]
        return [program("prlimit"), "--core=0", program("proot"), *places, SHELL, "-c", text]

    def environment(self) -> dict[str, str]:
        name, _, value = self._mark.partition("=")
        return ENVIRONMENT | {name: value, "PROOT_TMP_DIR": str(self.root.parent)}

    def processes(self) -> list[int]:
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if self._mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def resize(self, free_bytes: int) -> None:
        raise NotPrepared("proot cannot limit the size of /data")

    def close(self) -> None:
        while pids := self.processes():  # some may be starting others
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def open_sandbox(folder: Path, kind: str | None = None, data_bytes: int = DATA_BYTES) -> Sandbox:
    """Start a sandbox below an empty folder.

    Args:
        folder: An existing folder, which the caller removes.
        kind: namespaces or proot; by default the first that works.
        data_bytes: The size of /data.

    Raises:
        NotPrepared: Neither works; the text has both reasons.
    """
    prepared = find_prepared()
    reasons = []
    for name in (kind,) if kind else ("namespaces", "proot"):
        tree = folder / name
        build_tree(tree, prepared)
        try:
            if name == "namespaces":
                return Namespaces(tree, prepared, data_bytes)
            return Proot(tree, prepared)
        except NotPrepared as reason:
            reasons.append(str(reason))
    raise NotPrepared("; ".join(reasons))
