"""`edge-pipeline bench`: measure the latency and memory of artifacts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edge_pipeline.cli.options import parse_size
from edge_pipeline.cli.suite import measure_suite
from edge_pipeline.errors import (
    EdgePipelineError,
    InputError,
    JobError,
    StoppedError,
    VerificationError,
    exit_code,
)
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.devices.base import Device, Options, Placement
from edge_pipeline.harness.devices.named import open_named, peaks_of
from edge_pipeline.harness.gate import Gate
from edge_pipeline.harness.lanes import lanes_of, run_lanes
from edge_pipeline.harness.protocol import Plan
from edge_pipeline.record import Record, append_records, records_text
from edge_pipeline.report.terminal import console, latency_table, operator_table
from edge_pipeline.report.words import warnings_of

__all__ = ["command"]


class Throttled(StrEnum):
    """Treatment of a measurement during which the device throttled."""

    mark = "mark"
    refuse = "refuse"


_WITH_SUITE = {"suite", "output", "runner"}


def command(
    context: typer.Context,
    artifacts: Annotated[
        list[Path] | None, typer.Argument(metavar="[ARTIFACT...]", help="Artifact folders.")
    ] = None,
    records_to: Annotated[
        str | None,
        typer.Option(
            "--records", metavar="FILE|-", help="Append records as JSON lines; - is stdout."
        ),
    ] = None,
    suite: Annotated[
        Path | None,
        typer.Option(metavar="FILE.yaml", help="Measure a matrix instead of artifacts."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of a suite's results.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="Device to measure on; `edge-pipeline devices` lists them.")
    ] = "host",
    runner: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Program that runs artifacts on an attached device."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Number of compute threads, each pinned.")] = 1,
    cores: Annotated[
        str | None,
        typer.Option(metavar="big|little|0,1", help="Processors to pin to; by default the idlest."),
    ] = None,
    runs: Annotated[int, typer.Option(help="Least number of timed runs, from 30.")] = 50,
    seconds: Annotated[
        float, typer.Option(help="Least duration of the timed runs of all artifacts.")
    ] = 5.0,
    warmup: Annotated[
        int, typer.Option(help="Least number of runs before the timed ones; 0 for none.")
    ] = 10,
    sustained: Annotated[
        float, typer.Option(metavar="MINUTES", help="Also run each program without pause.")
    ] = 0.0,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Also time each operator, in a pass of its own."),
    ] = False,
    repeats: Annotated[
        int, typer.Option(min=1, help="Number of measurements, with cool-down between them.")
    ] = 1,
    max_temperature: Annotated[
        float | None,
        typer.Option(metavar="CELSIUS", help="Wait until the device is not warmer than this."),
    ] = None,
    min_battery: Annotated[
        float, typer.Option(metavar="PERCENT", help="Least charge, unless it is charging.")
    ] = 20.0,
    throttled: Annotated[
        Throttled, typer.Option(help="Mark or refuse measurements of a throttled device.")
    ] = Throttled.mark,
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="HxW", help="Packed size; by default the reference input's."
        ),
    ] = None,
) -> None:
    """Measure the latency and memory of artifacts on a device, and verify their outputs there.

    Every program of every artifact runs in a pinned process of its own. Programs take turns, so
    that they can be compared. Peak memory is measured in a separate pass. A suite compiles and
    measures a matrix of networks, backends and devices, and continues where it was interrupted.
    """
    if suite is not None:
        _check_for_suite(context)
        measure_suite(suite, output, runner)
        return
    if output is not None:
        raise InputError("-o is the folder of a suite's results; give --records FILE instead")
    if not artifacts:
        raise InputError("no artifacts are given; give their folders, or --suite FILE")
    size = None if input_size is None else parse_size(input_size, "HxW")
    settings = Settings(
        plan=Plan(runs=runs, seconds=seconds, warmup=warmup, sustained_s=60 * sustained),
        gate=Gate(max_temperature, min_battery, throttled=throttled.value),
        placement=Placement(threads, cores),
        size=None if size is None else (size[0], size[1]),
        profile=profile,
    )
    run = _Run(artifacts, settings, repeats, records_to)
    run.measure(device.split(","), runner)


class _Run:
    """The measurement of some artifacts on several devices; its methods may run in threads.

    Args:
        artifacts: Folders of the artifacts.
        settings: How they are measured.
        repeats: Number of measurements on each device.
        records_to: File to which records are appended, `-` for stdout, or None.
    """

    def __init__(
        self, artifacts: list[Path], settings: Settings, repeats: int, records_to: str | None
    ) -> None:
        self._artifacts, self._settings = artifacts, settings
        self._repeats, self._records_to = repeats, records_to
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._status = console(stderr=True).status("opening")
        self._steps: dict[str, str] = {}
        self._devices: dict[str, Device] = {}
        self._wrong: list[str] = []
        self._errors: dict[str, EdgePipelineError] = {}

    def measure(self, names: list[str], runner: str | None) -> None:
        """Measure on all devices, at the same time where they do not disturb each other.

        Raises:
            EdgePipelineError: If a device cannot be used; nothing is measured then. If the
                measurement on a device fails, after the others have been measured.
            VerificationError: If outputs were wrong.
        """
        lanes = lanes_of(names)
        with self._status:
            for name in names:
                options = Options(runner=runner, on_step=partial(self._step, name))
                self._devices[name] = open_named(name, options)
            run_lanes(lanes, self._measure_lane, self._stop)
        if len(names) == 1 and self._errors:
            raise self._errors[names[0]]
        if self._errors:
            failed = "; ".join(f"{name}: {error}" for name, error in self._errors.items())
            kind = InputError if exit_code(list(self._errors.values())) == 2 else JobError
            raise kind(f"{len(self._errors)} of {len(names)} devices were not measured: {failed}")
        if self._wrong:
            raise VerificationError(f"{', '.join(self._wrong)}: the outputs are wrong")

    def _measure_lane(self, names: Sequence[str]) -> None:
        for name in names:
            settings = replace(self._settings, peaks=peaks_of(name))
            step = partial(self._step, name)
            try:
                for _ in range(self._repeats):
                    self._keep(bench(self._artifacts, self._devices[name], settings, on_step=step))
            except StoppedError:
                raise
            except EdgePipelineError as error:
                self._errors[name] = error

    def _step(self, name: str, text: str) -> None:
        if self._stop.is_set():
            raise StoppedError("the measurement was stopped")
        with self._lock:
            self._steps[name] = text
            self._status.update(
                "; ".join(f"{device}: {step}" for device, step in self._steps.items())
                if len(self._devices) > 1
                else text
            )

    def _keep(self, records: list[Record]) -> None:
        with self._lock:
            self._status.stop()
            _show(records, self._records_to)
            self._status.start()
            self._wrong += [
                f"{record.artifact}:{record.program} on {record.device}"
                for record in records
                if record.verification.result == "failed"
            ]


def _check_for_suite(context: typer.Context) -> None:
    """Refuse options that the suite's file has fields for.

    Raises:
        InputError: If one is given.
    """
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in _WITH_SUITE and source is not None and source.name == "COMMANDLINE":
            raise InputError(f"the file of a suite says what is measured; leave out {name}")


def _show(records: list[Record], records_to: str | None) -> None:
    """Write the records; print the table, on stderr if the records go to stdout."""
    if records_to == "-":
        typer.echo(records_text(records), nl=False)
    elif records_to is not None:
        append_records(Path(records_to), records)
    out = console(stderr=records_to == "-")
    out.print(latency_table(records))
    for record in records:
        if record.operators:
            out.print(operator_table(record))
    for warning in warnings_of(records):
        out.print(f"warning: {warning}", style="yellow", markup=False)
