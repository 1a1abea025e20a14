"""`edge-pipeline devices`: list the devices to measure on, and prepare the emulated one."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from edge_pipeline.errors import InputError
from edge_pipeline.harness.devices.base import Attached
from edge_pipeline.harness.devices.named import attached_devices
from edge_pipeline.report.terminal import console, devices_table

__all__ = ["command"]


class Preparable(StrEnum):
    """Devices that need a preparation on this machine."""

    emulator = "emulator"


def command(
    prepare: Annotated[
        Preparable | None,
        typer.Option(
            help="Download and build a device first: the emulator, about 90 MB of downloads."
        ),
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the devices for `bench --device`, with the backends whose artifacts each can run.

    For a device that cannot be used, the list has the reason. Nothing is written to any device.
    """
    if prepare is not None:
        if is_json:
            raise InputError("--prepare and --json cannot be combined; run two commands")
        _prepare_emulator()
        return
    found = list(attached_devices())
    if is_json:
        typer.echo(json.dumps([asdict(device) for device in found], indent=2))
        return
    _print_table(found)


def _print_table(found: list[Attached]) -> None:
    rows = [(d.name, d.description, sorted(d.backends), d.problem) for d in found]
    console().print(devices_table(rows))


def _prepare_emulator() -> None:
    from edge_pipeline.harness.emulation.prepare import prepare

    out = console(stderr=True)
    with out.status("preparing the emulator") as status:
        made = prepare(status.update)
    versions = ", ".join(
        f"{name} {made.wheels[name]}" for name in ("ai-edge-litert", "onnxruntime")
    )
    typer.echo(f"the emulator is prepared in {made.folder}: QEMU {made.qemu}, {versions}")
