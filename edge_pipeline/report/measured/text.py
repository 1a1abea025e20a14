"""A report as CSV, with a line for each record, and as Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from edge_pipeline.record import Record
from edge_pipeline.report.measured.content import Content, content_of
from edge_pipeline.report.measured.tables import (
    Table,
    emulated_table,
    latency_table,
    machine_table,
    memory_table,
    quality_table,
    side_table,
    sustained_table,
)
from edge_pipeline.report.measured.view import Row, SessionView, sessions_of

__all__ = ["csv_of", "markdown_of"]

_COPIED = (
    "session", "artifact", "artifact_digest", "program", "model", "backend", "precision", "filters",
    "device", "runner", "emulated", "threads", "macs", "flops", "model_bytes",
    "planned_arena_bytes", "import_ms", "init_ms", "first_inference_ms", "num_warmup_runs",
    "warmup_stable", "num_runs", "preempted_runs", "throttled",
)  # fmt: skip
_LATENCY = ("median", "p5", "p90", "p95", "p99", "min", "max", "avg", "stddev")


def csv_of(records: Sequence[Record]) -> str:
    """Return records as CSV text with a heading; a value that is unknown is empty.

    Args:
        records: Records of any sessions; at least one.
    """
    rows = content_of(records).rows
    sessions = {session.rows[0].record.session: session for session in sessions_of(rows)}
    keys = list(dict.fromkeys(key for row in rows for key in row.record.quality))
    lines = [_figures(row, sessions[row.record.session], keys) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _figures(row: Row, session: SessionView, keys: Sequence[str]) -> dict[str, object]:
    record, latency, detail = row.record, row.record.latency, row.record.memory_detail
    before, after = record.sensors_before, record.sensors_after
    ratio, check = session.ratio(row), record.verification
    return {
        "name": row.name,
        "measured": record.measured.isoformat(),
        "system_name": record.environment.system_name,
        "accelerator_model_name": record.environment.accelerator_model_name,
        **{name: getattr(record, name) for name in _COPIED},
        "fixed": json.dumps(record.fixed) if record.fixed else None,
        "phi": row.phi,
        "input": row.input,
        **{f"{name}_ms": latency and getattr(latency, f"{name}_ms") for name in _LATENCY},
        "ratio": ratio and ratio.value,
        "ratio_low": ratio and ratio.low,
        "ratio_high": ratio and ratio.high,
        "peak_memory_bytes": record.memory and record.memory.peak_bytes,
        "runtime_memory_bytes": detail and detail.runtime_bytes,
        "program_memory_bytes": detail and detail.program_bytes,
        "instructions": record.instructions and record.instructions.median,
        "energy_mj": row.energy_mj,
        "temperature_before_c": before and before.hottest_c,
        "temperature_after_c": after and after.hottest_c,
        "verification": check.result,
        "max_abs": check.max_abs,
        "output_psnr_db": check.psnr_db,
        **{f"quality_{key}": record.quality.get(key) for key in keys},
        "marks": "; ".join(row.marks),
        "warnings": "; ".join(record.warnings),
    }


def markdown_of(records: Sequence[Record]) -> str:
    """Return the tables of records as GitHub's Markdown.

    Args:
        records: Records of any sessions; at least one.
    """
    content = content_of(records)
    return "\n\n".join(block for block in _blocks(content) if block) + "\n"


def _blocks(content: Content) -> Iterator[str]:
    yield "# Measurements"
    yield _escaped(content.summary)
    for row in content.wrong:
        reason = row.record.verification.complaint
        words = f"{row.name} on {row.device} computed wrong outputs" + (
            f": {reason}" if reason else ""
        )
        yield f"**{_escaped(words)}**"
    if content.groups:
        yield "## Devices side by side"
    for group in content.groups:
        yield f"### {_escaped(group.title)}"
        yield _table(side_table(group.rows))
    if content.sessions:
        yield "## Latency"
    for session in content.sessions:
        yield f"### {_escaped(session.rows[0].device)}"
        yield _escaped(f"{content.setting(session)}. Times in ms.")
        yield "\n".join(f"- {_escaped(warning)}" for warning in content.warnings(session))
        yield _table(latency_table(session))
    yield from _rest(content)


def _rest(content: Content) -> Iterator[str]:
    if content.timed:
        yield "## Memory, size and energy"
        yield _table(memory_table(content.timed))
    scores = quality_table(content.rows)
    if scores is not None:
        yield "## Quality and cost"
        yield _table(scores)
    if content.sustained:
        yield "## Sustained runs"
        yield _table(sustained_table(content.sustained))
    if content.layered:
        yield "## Layers and rooflines"
    for view in content.layers():
        yield f"### {_escaped(view.title)}"
        for table in (view.operators, view.layers):
            yield "" if table is None else _table(table)
    if content.emulated:
        yield "## Emulated devices"
        yield "An emulator ran these programs, so there are no times."
        yield _table(emulated_table(content.emulated))
    yield "## Machines"
    yield _table(machine_table([*content.sessions, *sessions_of(content.emulated)]))


def _table(table: Table) -> str:
    rule = ("---" if k in table.texts else "--:" for k in range(len(table.headings)))
    lines = [_line(table.headings), _line(tuple(rule), escape=False)]
    return "\n".join([*lines, *(_line(line.cells) for line in table.lines)])


def _line(cells: Sequence[str], *, escape: bool = True) -> str:
    return "| " + " | ".join(_escaped(cell) if escape else cell for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Return text in which no character is markup, on one line."""
    line = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in line)
