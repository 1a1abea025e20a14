"""`edge-pipeline bench`: measure the latency and memory of artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_pipeline.cli.options import parse_size
from edge_pipeline.files import atomic_file
from edge_pipeline.harness.bench import bench
from edge_pipeline.harness.protocol import Plan
from edge_pipeline.record import Record, records_json
from edge_pipeline.registry import DEVICES
from edge_pipeline.report.terminal import console, latency_table
from edge_pipeline.report.words import warnings_of

__all__ = ["command"]


def command(
    artifacts: Annotated[
        list[Path], typer.Argument(metavar="ARTIFACT...", help="Artifact folders.")
    ],
    json_to: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE|-", help="Also write records as JSON; - is stdout."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Number of compute threads, each pinned.")] = 1,
    runs: Annotated[int, typer.Option(help="Number of timed runs, at least 30.")] = 30,
    warmup: Annotated[int, typer.Option(help="Number of runs before the timed ones.")] = 10,
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="HxW", help="Packed size; by default the reference input's."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Device to measure on.")] = "host",
) -> None:
    """Measure the latency and memory of artifacts.

    Every program of every artifact runs in a pinned process of its own. Programs take turns, so
    that they can be compared. Peak memory is measured in a separate pass.
    """
    plan = Plan(runs=runs, warmup=warmup)
    size = None if input_size is None else parse_size(input_size, "HxW")
    messages = console(stderr=True)
    with messages.status("opening") as status:
        records = bench(
            artifacts,
            DEVICES.load(device).open_device(),
            plan,
            threads=threads,
            size=None if size is None else (size[0], size[1]),
            on_step=status.update,
        )
    _show(records, json_to)


def _show(records: list[Record], json_to: str | None) -> None:
    """Print the table, on stderr if JSON goes to stdout; then write the JSON."""
    out = console(stderr=json_to == "-")
    out.print(latency_table(records))
    for warning in warnings_of(records):
        out.print(f"warning: {warning}", style="yellow", markup=False)
    if json_to == "-":
        typer.echo(records_json(records), nl=False)
    elif json_to is not None:
        with atomic_file(Path(json_to)) as temporary:
            temporary.write_text(records_json(records), encoding="utf-8")
