"""The part of `edge-pipeline bench` that measures a suite, with a live table of its devices."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.harness.devices.base import Device, Options
from edge_pipeline.harness.devices.named import check_name, open_named
from edge_pipeline.record import Record
from edge_pipeline.report.terminal import console
from edge_pipeline.report.words import ms

__all__ = ["measure_suite"]


def measure_suite(path: Path, folder: Path | None, runner: str | None) -> None:
    """Compile and measure a suite; the same command continues an interrupted one.

    Args:
        path: File of the suite.
        folder: Folder of artifacts and records.
        runner: Program that runs artifacts on attached devices.

    Raises:
        InputError: If the suite is invalid, or no folder is given.
        JobError: If something was not measured, or computed wrong outputs.
    """
    from edge_pipeline.suite.matrix import load_suite
    from edge_pipeline.suite.running import RECORDS, Progress, run_suite

    if folder is None:
        raise InputError("a suite requires a folder for its artifacts and records; give -o")
    suite = load_suite(path)
    for name in suite.devices:
        check_name(name)

    def opened(name: str) -> Device:
        return open_named(name, Options(runner=runner))

    out = console()
    board = _Board(["compiling", *suite.devices])
    stop = threading.Event()
    progress = Progress(board.step, board.finished, board.failed)
    with Live(
        console=out, get_renderable=board.table, refresh_per_second=4, transient=True
    ) as live:
        board.start(live.console, is_live=out.is_terminal)
        try:
            result = run_suite(suite, folder, opened, progress, stop)
        except KeyboardInterrupt:
            stop.set()
            raise
    kept = f", {result.kept} kept from an earlier run" if result.kept else ""
    out.print(f"{result.measured} programs measured{kept}; records in {folder / RECORDS}")
    if result.failures or result.wrong:
        wrong = f"{result.wrong} computed wrong outputs, " if result.wrong else ""
        raise JobError(f"{wrong}{len(result.failures)} were not measured; see the lines above")


class _Board:
    """The table: a row for each device with its step and numbers; thread-safe."""

    def __init__(self, names: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._steps = dict.fromkeys(names, "waiting")
        self._done = dict.fromkeys(names, 0)
        self._failed = dict.fromkeys(names, 0)
        self._console: Console | None = None
        self._is_live = False

    def start(self, where: Console, *, is_live: bool) -> None:
        """Print lines to a console from now on."""
        self._console, self._is_live = where, is_live

    def step(self, device: str, text: str) -> None:
        """Show the next step of a device."""
        with self._lock:
            self._steps[device] = text

    def finished(self, device: str, records: Sequence[Record]) -> None:
        """Count and print the records of a group."""
        with self._lock:
            self._done[device] += len(records)
        for record in records:
            figure = "emulated" if record.latency is None else f"{ms(record.latency.median_ms)} ms"
            self._print(
                f"{record.device}: {record.artifact} {record.program}: {figure}, outputs "
                f"{record.verification.result}"
            )

    def failed(self, device: str, case: str, reason: str) -> None:
        """Count and print a case that was not measured."""
        with self._lock:
            self._failed[device] = self._failed.get(device, 0) + 1
        self._print(f"{device}: {case} was not measured: {reason}")

    def table(self) -> Table:
        """Return the table now; empty if the output is not a terminal."""
        table = Table("device", "step", "measured", "failed")
        if not self._is_live:
            return Table(box=None, show_header=False)
        with self._lock:
            for name, text in self._steps.items():
                table.add_row(name, text, str(self._done[name]), str(self._failed[name]))
        return table

    def _print(self, line: str) -> None:
        if self._console is not None:
            self._console.print(line, markup=False, soft_wrap=True)
