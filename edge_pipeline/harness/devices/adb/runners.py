"""Runners on Android devices, the preferred one first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_pipeline.errors import InputError
from edge_pipeline.harness.devices.adb.app import AppRunner
from edge_pipeline.harness.devices.adb.instrumentation import PACKAGE
from edge_pipeline.harness.devices.adb.phone import has_package
from edge_pipeline.harness.devices.adb.tools import TOOLS, ToolRunner
from edge_pipeline.harness.devices.base import Options
from edge_pipeline.harness.devices.link import Link
from edge_pipeline.harness.devices.runners import ProcessRunner, Runner
from edge_pipeline.harness.runner import RUNNER_BACKENDS, abi_of, cached_runner

__all__ = ["runners_of"]


def runners_of(link: Link, abis: Sequence[str], options: Options) -> Sequence[Runner]:
    """Return the runners of an Android device.

    A runner that the user gives is the only one. Otherwise the first is this project's app, if it
    is installed, and the second the executable without dependencies, if it is built for an ABI of
    the device.

    Args:
        link: Connection to the device.
        abis: ABIs that the device executes.
        options: Options that the user gave.

    Raises:
        InputError: If the given runner is not a file, or is for another processor.
    """
    if options.runner is not None:
        return [_given(Path(options.runner), abis)]
    runners: list[Runner] = [AppRunner(link)] if has_package(link, PACKAGE) else []
    found = cached_runner()
    if "arm64-v8a" in abis and found.is_file():
        runners.append(_process_runner(found))
    return runners


def _given(source: Path, abis: Sequence[str]) -> Runner:
    if not source.is_file():
        raise InputError(f"the runner {source} is not a file")
    abi = abi_of(source)
    if abi is not None and abi not in abis:
        raise InputError(
            f"the runner {source} is for {abi}; this device executes {', '.join(abis)}"
        )
    for tool in TOOLS:
        if source.name.startswith(tool.name):
            return ToolRunner(tool, source)
    return _process_runner(source)


def _process_runner(source: Path) -> ProcessRunner:
    return ProcessRunner(source.name, [], RUNNER_BACKENDS, source)
