"""Tables of the layers and the operators of a program."""

from __future__ import annotations

from edge_pipeline.harness.roofline import speeds_of
from edge_pipeline.report.measured.tables import Line, Table, filled
from edge_pipeline.report.measured.view import Row
from edge_pipeline.report.words import count

__all__ = ["layer_table", "operator_table"]

# Operators of a table; the others are summed.
_MOST_OPERATORS = 12


def layer_table(row: Row) -> Table:
    """Return the work, the traffic and the speeds of a record's layers."""
    headings = (
        "layer", "kind", "MACs", "parameters", "weights, kB", "activations, kB", "FLOP per byte",
        "attainable, GFLOP/s", "limit", "share of time", "measured, GFLOP/s",
    )  # fmt: skip
    lines = []
    for speed in speeds_of(row.record):
        layer = speed.layer
        cells = (
            layer.name,
            layer.op,
            count(layer.macs),
            f"{layer.params:,}",
            f"{layer.weight_bytes / 1e3:,.1f}",
            f"{layer.activation_bytes / 1e3:,.1f}",
            f"{speed.intensity:.3g}",
            filled(lambda value: f"{value:.3g}", speed.attainable_gflops),
            speed.limit or "",
            filled(lambda value: f"{value:.1%}", speed.share),
            filled(lambda value: f"{value:.3g}", speed.gflops),
        )
        lines.append(Line(cells, row.facets))
    if len(lines) > 1:
        lines.append(Line(_all(row), row.facets))
    return Table(headings, tuple(lines), (0, 1, 8))


def _all(row: Row) -> tuple[str, ...]:
    """Return the sums of a record's layers."""
    layers = row.record.layers
    sums = {
        name: sum(getattr(layer, name) for layer in layers)
        for name in ("macs", "flops", "params", "weight_bytes", "activation_bytes")
    }
    traffic = sums["weight_bytes"] + sums["activation_bytes"]
    shares = [speed.share for speed in speeds_of(row.record) if speed.share is not None]
    return (
        "all these layers",
        "",
        count(sums["macs"]),
        f"{sums['params']:,}",
        f"{sums['weight_bytes'] / 1e3:,.1f}",
        f"{sums['activation_bytes'] / 1e3:,.1f}",
        f"{sums['flops'] / traffic:.3g}" if traffic else "",
        "",
        "",
        f"{sum(shares):.1%}" if shares else "",
        "",
    )


def operator_table(row: Row) -> Table:
    """Return the operators that take the longest, and the sum of the others."""
    operators = row.record.operators
    lines = [
        Line((one.name, one.kind, one.layer or "", f"{one.share:.1%}"), row.facets)
        for one in operators[:_MOST_OPERATORS]
    ]
    rest = operators[_MOST_OPERATORS:]
    if rest:
        share = sum(one.share for one in rest)
        lines.append(Line((f"{len(rest)} others", "", "", f"{share:.1%}"), row.facets))
    return Table(("operator", "kind", "layer", "share of time"), tuple(lines), (0, 1, 2))
