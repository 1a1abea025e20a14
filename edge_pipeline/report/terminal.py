"""Tables of records and costs for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_pipeline.record import Cost, CostRecord, LayerCost, Record, Subtotal
from edge_pipeline.report.words import count, mib, ms, setting_of, shape

__all__ = ["console", "cost_table", "findings_table", "latency_table"]

# Width in characters if the output is not a terminal; wide enough for every table here.
_PLAIN_WIDTH = 150


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout or stderr that does not wrap tables in files and pipes."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(stderr=stderr, width=width, highlight=False)


def latency_table(records: Sequence[Record]) -> Table:
    """Return a table with one row per record: loading, first run, latency, memory.

    Args:
        records: Records of one measurement; at least one.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=f"{setting_of(records[0])}. Times in ms, memory in MiB.",
        caption_justify="left",
    )
    table.add_column("artifact, program, input", overflow="fold")
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
            f"{escape(record.artifact)}\n{record.backend} {record.filters} {record.program} "
            f"{shape(next(iter(record.input_shapes.values()))[1:])}",
            *(ms(value) for value in figures),
            mib(record.memory.peak_bytes),
        )
    return table


def findings_table(rows: Sequence[tuple[str, str, str, str]]) -> Table:
    """Return a table of computed weights.

    Args:
        rows: Layer, operand, kind and operator of each computed weight.
    """
    headings = ("computed weights of", "operand", "one set for each", "operator")
    table = Table(*headings, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*row)
    return table


def cost_table(cost: CostRecord) -> Table:
    """Return a table with one row per layer, and sums over predictors, the path and all layers."""
    options = ", ".join(f"{key}={value}" for key, value in cost.options.items())
    fixed = ", ".join(f"{key}={value}" for key, value in cost.fixed.items())
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"{cost.model}: {options}" + (f", at {fixed}" if fixed else ""),
        title_justify="left",
    )
    for heading in ("layer", "op", "output"):
        table.add_column(heading, overflow="fold")
    for heading in ("parameters", "MACs", "FLOPs"):
        table.add_column(heading, justify="right", no_wrap=True)
    parts = (
        ("predictor", "computing the weights", cost.predictor),
        ("path", "using them", cost.path),
    )
    for part, title, subtotal in parts:
        for layer in cost.layers:
            if layer.part == part:
                # Without the batch size, which is 1.
                words = (layer.name, layer.op, shape(layer.output_shape[1:]))
                table.add_row(*words, *_figures(layer))
        table.add_section()
        table.add_row(title, "", "", *_figures(subtotal), style="bold", end_section=True)
    table.add_row("all", "", f"input {shape(cost.input)}", *_figures(cost), style="bold")
    return table


def _figures(cost: LayerCost | Subtotal | Cost) -> tuple[str, str, str]:
    return f"{cost.params:,}", count(cost.macs), count(cost.flops)
