"""Tables of records and costs for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_pipeline.harness.statistics import ratio_of
from edge_pipeline.record import Cost, CostRecord, LayerCost, Record, Subtotal
from edge_pipeline.report.words import count, mib, ms, setting_of, shape

__all__ = [
    "console",
    "cost_table",
    "devices_table",
    "findings_table",
    "latency_table",
    "operator_table",
]

# Width in characters if the output is not a terminal; wide enough for every table here.
_PLAIN_WIDTH = 150


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout or stderr that does not wrap tables in files and pipes."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(stderr=stderr, width=width, highlight=False)


def latency_table(records: Sequence[Record]) -> Table:
    """Return a table with one row per record: loading, latency, ratio to the first row, memory.

    The ratio is that of the medians, with its 95 % bootstrap interval. For an emulated device, the
    table has the instructions of a run instead.

    Args:
        records: Records of one measurement; at least one.
    """
    is_emulated = records[0].emulated
    units = "" if is_emulated else " Times in ms, memory in MiB."
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=f"{setting_of(records[0])}.{units}",
        caption_justify="left",
    )
    table.add_column("artifact, program, input", overflow="fold")
    headings = ("instructions",) if is_emulated else _HEADINGS
    for heading in (*headings, "outputs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for record in records:
        table.add_row(
            f"{escape(record.artifact)}\n{record.backend} {record.filters} {record.program} "
            f"{shape(next(iter(record.input_shapes.values()))[1:])}",
            *(_instructions(record) if is_emulated else _times(record, records[0])),
            _CHECKED[record.verification.result],
        )
    return table


_MOST_OPERATORS = 12


def operator_table(record: Record) -> Table:
    """Return a table of a record's slowest operators, with their layers and shares of the time."""
    left = record.operators[_MOST_OPERATORS:]
    share = sum(operator.share for operator in left)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=f"{len(left)} other operators take {share:.0%}." if left else None,
        caption_justify="left",
    )
    table.add_column(f"operators of {escape(record.artifact)} {record.program}", overflow="fold")
    for heading in ("type", "layer"):
        table.add_column(heading, overflow="fold")
    table.add_column("share", justify="right", no_wrap=True)
    for operator in record.operators[:_MOST_OPERATORS]:
        words = (operator.name, operator.kind, operator.layer or "")
        table.add_row(*map(escape, words), f"{operator.share:.1%}")
    return table


_HEADINGS = ("init", "first", "median", "p90", "p99", "min", "max", "ratio", "memory")
_CHECKED = {"passed": "correct", "failed": "WRONG", "not_run": "not checked"}


def _times(record: Record, base: Record) -> tuple[str, ...]:
    latency = record.latency
    values = (
        record.init_ms,
        record.first_inference_ms,
        *((getattr(latency, f"{name}_ms")) for name in ("median", "p90", "p99", "min", "max")),
    )
    return (
        *("" if value is None else ms(value) for value in values),
        _ratio(record, base),
        "" if record.memory is None else mib(record.memory.peak_bytes),
    )


def _ratio(record: Record, base: Record) -> str:
    if record is base or not record.samples_ms:
        return ""
    found = ratio_of(record.samples_ms, base.samples_ms)
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _instructions(record: Record) -> tuple[str]:
    found = record.instructions
    return ("" if found is None else count(found.median),)


def devices_table(rows: Sequence[tuple[str, str, Sequence[str], str | None]]) -> Table:
    """Return a table of devices.

    Args:
        rows: Name, description, backends and problem of each device; no problem if it can be used.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("device", no_wrap=True)
    for heading in ("description", "runs", "cannot be used because"):
        table.add_column(heading, overflow="fold")
    for name, description, backends, problem in rows:
        texts = (name, description, ", ".join(backends), problem or "")
        table.add_row(*(escape(text) for text in texts), style=None if problem is None else "dim")
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
