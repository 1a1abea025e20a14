"""The files of the emulated machine: Debian's arm64 packages and Python's aarch64 wheels."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_pipeline.errors import InputError, JobError

__all__ = ["add_wheels", "unpack_debian"]

_PACKAGES = ("python3", "libstdc++6", "libgomp1")
_PLATFORMS = tuple(f"manylinux{version}_aarch64" for version in ("_2_28", "_2_27", "_2_17", "2014"))
_SUPPORTED = ((3, 11), (3, 12), (3, 13))
_LONGEST_S = 900


def unpack_debian(folder: Path) -> tuple[str, dict[str, str]]:
    """Download the packages of a minimal arm64 system, and unpack them into `folder/root`.

    apt reads this system's sources and keys, but has its own state, so nothing of this system
    changes and no right of root is necessary.

    Returns:
        The path of Python in the tree, and the versions of the packages by name.

    Raises:
        JobError: If the packages cannot be downloaded or unpacked.
        InputError: If this system's Python for arm64 is not supported.
    """
    root, apt = folder / "root", folder / "apt"
    root.mkdir()
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    words = ["apt-get", *_apt_options(apt), "-qq", "-y"]
    reason = (
        "the packages of an arm64 system cannot be downloaded with apt-get; check the network, and "
        "that the package sources of this system offer arm64"
    )
    _run([*words, "update"], reason)
    _run([*words, "--no-install-recommends", "--download-only", "install", *_PACKAGES], reason)
    versions = {}
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(root)], f"dpkg-deb cannot unpack {package.name}")
        name, version, _ = package.name.split("_")
        versions[name] = version.replace("%3a", ":")
    if not (root / "lib").exists():  # since Debian 13, libraries are in /usr/lib alone
        (root / "lib").symlink_to("usr/lib")
    return _python_of(root), versions


def _apt_options(apt: Path) -> list[str]:
    options = {
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _python_of(root: Path) -> str:
    versions = ", ".join(f"{major}.{minor}" for major, minor in _SUPPORTED)
    for major, minor in reversed(_SUPPORTED):
        path = f"usr/bin/python{major}.{minor}"
        if (root / path).is_file():
            return path
    raise InputError(
        f"the Python for arm64 of this system is none of {versions}, which the worker requires"
    )


def add_wheels(folder: Path, python: str, requirements: Sequence[str]) -> dict[str, str]:
    """Download aarch64 wheels with this Python's pip, and unpack them into `folder/site`.

    Args:
        folder: Folder of the machine's files.
        python: Path of Python in the tree.
        requirements: Requirements in pip's syntax.

    Returns:
        The versions of the packages by name.

    Raises:
        JobError: If the wheels cannot be downloaded.
    """
    version = python.rpartition("python")[2]
    site = folder / "site"
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    words += ["--no-input", "--no-compile", "--only-binary=:all:", "--target", str(site)]
    for platform in _PLATFORMS:
        words += ["--platform", platform]
    for abi in (f"cp{version.replace('.', '')}", "abi3", "none"):
        words += ["--abi", abi]
    words += ["--implementation", "cp", "--python-version", version, *requirements]
    _run(words, "the aarch64 wheels cannot be downloaded with pip; check the network")
    found = {}
    for info in site.glob("*.dist-info"):
        name, _, installed = info.name.removesuffix(".dist-info").partition("-")
        found[re.sub(r"[-_.]+", "-", name).lower()] = installed
    return dict(sorted(found.items()))


def _run(words: Sequence[str], reason: str) -> None:
    """Run a program that must succeed."""
    try:
        done = subprocess.run(  # noqa: S603 - the harness's own words
            list(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_S,
            check=False,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )
    except subprocess.TimeoutExpired as error:
        raise JobError(f"{reason} ({words[0]} did not end in {_LONGEST_S} s)") from error
    if done.returncode:
        raise JobError(reason)
