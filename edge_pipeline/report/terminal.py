"""Tables for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from edge_pipeline.record import CostRecord, Record, Subtotal
from edge_pipeline.report.words import count, mib, ms, setting_of, shape

__all__ = ["console", "cost_table", "latency_table"]

# Wide enough for every table here, where there is no terminal whose width could be asked.
_PLAIN_WIDTH = 150


def console(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr that does not fold tables when it is piped to a file."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(stderr=stderr, width=width, highlight=False)


def latency_table(records: Sequence[Record]) -> Table:
    """A row a record: loading, first run, the statistics of the timed runs, memory.

    Args:
        records: of one measurement, at least one.
    """
    first = records[0]
    table = Table(
        caption=f"{setting_of(first)}. Times in ms, memory in MiB.", caption_justify="left"
    )
    for heading in ("artifact", "program", "backend", "input"):
        table.add_column(heading, overflow="fold")
    for heading in ("init", "first", "median", "p90", "p99", "min", "max", "mean", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for record in records:
        latency = record.latency
        figures = (
            record.init_ms,
            record.first_run_ms,
            latency.median_ms,
            latency.p90_ms,
            latency.p99_ms,
            latency.min_ms,
            latency.max_ms,
            latency.mean_ms,
        )
        table.add_row(
            record.artifact,
            record.program,
            f"{record.backend} {record.filters}",
            shape(record.input_shapes["packed"][1:]),
            *(ms(value) for value in figures),
            mib(record.memory.peak_bytes),
        )
    return table


def cost_table(cost: CostRecord) -> Table:
    """A row a layer, then the filter predictors, the full-resolution path, and both."""
    options = " ".join(f"{key}={value}" for key, value in cost.options.items())
    table = Table(title=f"{cost.model} {options}", title_justify="left", show_footer=False)
    for heading in ("layer", "part", "op", "output"):
        table.add_column(heading, overflow="fold")
    for heading in ("parameters", "MACs", "FLOPs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in cost.layers:
        table.add_row(
            layer.name,
            layer.part,
            layer.op,
            shape(layer.output_shape),
            f"{layer.params:,}",
            count(layer.macs),
            count(layer.flops),
        )
    table.add_section()
    whole = Subtotal(params=cost.params, macs=cost.macs, flops=cost.flops)
    for name, part in (
        ("filter predictors", cost.predictor),
        ("full-resolution path", cost.path),
        (f"all, input {shape(cost.input)}", whole),
    ):
        figures = (f"{part.params:,}", count(part.macs), count(part.flops))
        table.add_row(name, "", "", "", *figures, style="bold")
    return table
