"""Fetch the arm64 programs of the test bed: python -m tests.adb_bed.prepare.

This is the only part of the bed that uses the network. It asks apt, with a state folder of its own,
for Debian's busybox-static for arm64, and unpacks it into ~/.cache/edge-pipeline/adb_bed.
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
import unittest
from dataclasses import dataclass
from pathlib import Path

from edge_pipeline import files

__all__ = ["EMULATOR", "NotPrepared", "Prepared", "cache_folder", "find_prepared", "prepare"]

EMULATOR = "qemu-aarch64-static"
PACKAGE = "busybox-static"
FORMAT = "1"  # of the prepared folder; a new one is prepared again
LIMIT_S = 300


class NotPrepared(unittest.SkipTest):
    """Something that the test bed needs is missing, so the test is skipped; the text says why."""


@dataclass(frozen=True)
class Prepared:
    """The files that the sandbox is made of."""

    busybox: Path
    applets: tuple[str, ...]
    emulator: Path


def cache_folder() -> Path:
    """The folder of the prepared files: below XDG_CACHE_HOME, or ~/.cache."""
    return files.cache_folder("adb_bed") / FORMAT


def find_prepared() -> Prepared:
    """The prepared files.

    Raises:
        NotPrepared: They are missing, or the emulator is.
    """
    emulator = shutil.which(EMULATOR)
    if emulator is None:
        raise NotPrepared(f"{EMULATOR} is missing; on Debian: apt-get install qemu-user-static")
    folder = cache_folder()
    try:
        applets = tuple((folder / "applets.txt").read_text().split())
    except FileNotFoundError:
        raise NotPrepared(
            f"{folder} is missing; python -m tests.adb_bed.prepare makes it"
        ) from None
    return Prepared(folder / "busybox", applets, Path(emulator))


def prepare() -> Path:
    """Make the prepared folder if it is missing; several processes may do so at once.

    Raises:
        NotPrepared: apt has no such package, or a program is missing.
    """
    folder = cache_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="new-") as name:
                _fill(Path(name))
                (Path(name) / "prepared").rename(folder)
    return folder


def _fill(work: Path) -> None:
    """Make `work`/prepared."""
    package = _download(work)
    _run(["dpkg-deb", "-x", str(package), str(work / "tree")])
    prepared = work / "prepared"
    prepared.mkdir()
    shutil.copy(work / "tree/bin/busybox", prepared / "busybox")
    listed = _run([EMULATOR, str(prepared / "busybox"), "--list"])
    (prepared / "applets.txt").write_text(listed)
    (prepared / "package.txt").write_text(package.name + "\n")


def _download(work: Path) -> Path:
    """Fetch the package with an apt state of its own; apt checks the signatures."""
    (work / "state/lists/partial").mkdir(parents=True)
    (work / "cache/archives/partial").mkdir(parents=True)
    (work / "status").touch()
    settings = {
        "Dir::State": work / "state",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
    _run(["apt-get", *options, "-qq", "update"])
    _run(["apt-get", *options, "-qq", "download", PACKAGE], work)
    packages = list(work.glob(f"{PACKAGE}_*_arm64.deb"))
    if not packages:
        raise NotPrepared(f"apt has no {PACKAGE} for arm64; add a source that has it")
    return packages[0]


def _run(command: list[str], folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=True
        )
    except FileNotFoundError:
        raise NotPrepared(f"{command[0]} is missing; install it") from None
    except subprocess.TimeoutExpired:
        raise NotPrepared(f"{command[0]} took longer than {LIMIT_S} s; try again") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["no message"]
        raise NotPrepared(f"{command[0]} failed: {lines[-1]}") from None
    return done.stdout


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{prepare()}\n")
    except NotPrepared as fault:
        sys.exit(f"error: {fault}")
