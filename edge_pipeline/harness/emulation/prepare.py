"""Preparation of the emulated machine, which is the only step that downloads anything."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from edge_pipeline.errors import InputError, JobError, OutputError
from edge_pipeline.harness.devices.bundle import bundle_bytes
from edge_pipeline.harness.devices.requirements import requirements_of
from edge_pipeline.harness.emulation.counting import build_plugin, plugin_words, read_marks
from edge_pipeline.harness.emulation.place import BACKENDS, Prepared, emulator_folder, locked
from edge_pipeline.harness.emulation.processor import write_processor
from edge_pipeline.harness.emulation.tree import add_wheels, unpack_debian
from edge_pipeline.harness.process import PYTHON_WORKER

__all__ = ["QEMU", "missing_programs", "prepare", "qemu_version"]

QEMU = "qemu-aarch64"
# Debian's packages of the programs.
_PROGRAMS = {"apt-get": "apt", "dpkg-deb": "dpkg", QEMU: "qemu-user", "gcc": "gcc"}
_TREE = "tree-"
_TRIAL_S = 300
_IMPORTS = (
    f"import {PYTHON_WORKER}, packaging.requirements, onnxruntime, ai_edge_litert.interpreter"
)
_MARK = (
    "import os, contextlib\nfor _ in range(2):\n    with contextlib.suppress(OSError):\n"
    "        os.sched_get_priority_max(0x45504D52)\n"
)


def missing_programs() -> str | None:
    """Return which programs the preparation lacks here, with a remedy; None if none."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if not missing:
        return None
    packages = " ".join(_PROGRAMS[name] for name in missing)
    return (
        f"the emulator requires {', '.join(missing)}; on Debian or Ubuntu, run: apt-get install "
        f"{packages}"
    )


def qemu_version() -> str:
    """Return the version of QEMU, such as `7.2.22`."""
    done = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    words = done.stdout.split()
    return words[2] if len(words) > 2 else "of unknown version"


def prepare(on_step: Callable[[str], None] = lambda _step: None) -> Prepared:
    """Download and build the emulated machine, about 80 MB, and replace an older one.

    Args:
        on_step: Function that is called with a description of each step before it starts.

    Raises:
        InputError: If a program is missing, or another process uses or prepares the machine.
        JobError: If a download or a test of the result fails; an older machine remains.
        OutputError: If the folder cannot be written.
    """
    problem = missing_programs()
    if problem is not None:
        raise InputError(problem)
    if importlib.util.find_spec("pip") is None:
        raise InputError("the emulator requires pip in this Python; run: python -m ensurepip")
    with locked(exclusive=True):
        folder = emulator_folder()
        _remove_trees(folder, keep=_current(folder))
        tree = folder / f"{_TREE}{secrets.token_hex(6)}"
        try:
            tree.mkdir()
            prepared = _built(tree, on_step)
            prepared.write()
        except OSError as error:
            shutil.rmtree(tree, ignore_errors=True)
            raise OutputError(f"cannot write {tree}: {error.strerror}") from error
        except BaseException:
            shutil.rmtree(tree, ignore_errors=True)
            raise
        _remove_trees(folder, keep=tree.name)
    return prepared


def _built(tree: Path, on_step: Callable[[str], None]) -> Prepared:
    on_step("downloading and unpacking an arm64 system")
    python, packages = unpack_debian(tree)
    shutil.rmtree(tree / "apt")
    cores = os.cpu_count() or 1
    write_processor(tree / "root", cores)
    requirements = requirements_of(*BACKENDS)
    on_step("downloading " + ", ".join(requirements))
    wheels = add_wheels(tree, python, requirements)
    on_step("starting the runtimes in the emulator")
    _try_imports(tree, python)
    on_step("building the plugin that counts instructions")
    build_plugin(tree / "count.so", lambda: _counts(tree, python))
    return Prepared(
        tree=tree.name,
        python=python,
        requirements=tuple(requirements),
        qemu=qemu_version(),
        cores=cores,
        packages=packages,
        wheels=wheels,
        prepared=datetime.now(UTC),
    )


def _try_imports(tree: Path, python: str) -> None:
    """Import all that a worker imports; this also writes Python's compiled files."""
    bundle = tree / "package.zip"
    bundle.write_bytes(bundle_bytes())
    try:
        done = _emulated(tree, python, ["-c", _IMPORTS], f"{tree / 'site'}:{bundle}")
    finally:
        bundle.unlink()
    if not done:
        raise JobError("the runtimes cannot be started in the emulator; prepare it again")


def _counts(tree: Path, python: str) -> bool:
    out = tree / "counts"
    words = plugin_words(tree / "count.so", out)
    try:
        return _emulated(tree, python, ["-S", "-c", _MARK], "", words) and len(read_marks(out)) == 2
    except JobError:
        return False
    finally:
        out.unlink(missing_ok=True)


def _emulated(
    tree: Path, python: str, words: list[str], path: str, options: list[str] | None = None
) -> bool:
    """Run the emulated Python, and return whether it succeeded."""
    root = tree / "root"
    command = [QEMU, *(options or []), "-L", str(root), str(root / python), *words]
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": path}
    search = shutil.which(QEMU) or QEMU
    try:
        done = subprocess.run(  # noqa: S603 - the harness's own words
            [search, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRIAL_S,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _current(folder: Path) -> str | None:
    """Return the name of the prepared tree, also if it is of another version."""
    try:
        text = (folder / "manifest.json").read_text(encoding="utf-8")
        return Prepared.model_validate_json(text).tree
    except (OSError, ValueError):
        return None


def _remove_trees(folder: Path, keep: str | None) -> None:
    for tree in folder.glob(f"{_TREE}*"):
        if tree.name != keep:
            shutil.rmtree(tree, ignore_errors=True)
