"""Tables of a report, for a page and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_pipeline.harness.statistics import Ratio
from edge_pipeline.report.measured.fronts import metric_of
from edge_pipeline.report.measured.view import Row, SessionView, ratio_text
from edge_pipeline.report.words import count, mib, ms

__all__ = [
    "Line",
    "Table",
    "emulated_table",
    "filled",
    "how",
    "latency_table",
    "machine_table",
    "memory_table",
    "quality_table",
    "side_table",
    "sustained_table",
]


@dataclass(frozen=True)
class Line:
    """A line of a table: its cells, the properties to filter by, and whether it is in red."""

    cells: tuple[str, ...]
    facets: Mapping[str, str] = field(default_factory=dict)
    is_bad: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        headings: Headings of the columns.
        lines: Lines with one cell for each heading.
        texts: Positions of the columns that contain text, which is aligned to the left.
    """

    headings: tuple[str, ...]
    lines: tuple[Line, ...]
    texts: tuple[int, ...] = (0,)


def latency_table(session: SessionView) -> Table:
    """Return the times of a session: loading, percentiles and ratios."""
    headings = (
        "program", "median", "p5", "p90", "p95", "p99", "min", "max", "mean", "std. dev.", "init",
        "first run", "runs", "ratio (95 %)", "marks",
    )  # fmt: skip
    lines = []
    for row in session.rows:
        record, latency = row.record, row.record.latency
        names = ("median", "p5", "p90", "p95", "p99", "min", "max", "avg", "stddev")
        times = [None if latency is None else getattr(latency, f"{name}_ms") for name in names]
        cells = (
            _described(row),
            *(filled(ms, value) for value in (*times, record.init_ms, record.first_inference_ms)),
            str(record.num_runs),
            "base"
            if session.base is row and len(session.rows) > 1
            else _text_of(session.ratio(row)),
            ", ".join(row.marks),
        )
        lines.append(Line(cells, row.facets, row.is_wrong))
    return Table(headings, tuple(lines), (0, 14))


def side_table(rows: Sequence[Row]) -> Table:
    """Return the medians of rows on several devices, the fastest first; wrong ones at the end."""
    headings = ("device", "runs as", "median, ms", "p95, ms", "to the fastest", "marks")
    right = [row for row in rows if not row.is_wrong]
    best = min((_median(row) for row in right), default=None)
    lines = [
        Line(
            (
                row.device,
                how(row),
                ms(_median(row)),
                "" if row.record.latency is None else ms(row.record.latency.p95_ms),
                "" if not best or row.is_wrong else f"{_median(row) / best:.2f}",
                ", ".join(row.marks),
            ),
            row.facets,
            row.is_wrong,
        )
        for row in rows
    ]
    return Table(headings, tuple(lines), (0, 1, 5))


def how(row: Row) -> str:
    """Return the way in which a row's program runs: backend, precision, weights and threads."""
    record = row.record
    threads = f"{record.threads} thread{'s' if record.threads > 1 else ''}"
    return f"{record.backend} {record.precision} {record.filters}, {threads}"


def memory_table(rows: Sequence[Row]) -> Table:
    """Return the memory, the size and the energy of programs on devices that are not emulated."""
    headings = (
        "program", "device", "input", "peak, MiB", "runtime, MiB", "program, MiB",
        "planned arena, kB", "file, kB", "MACs", "power, W", "energy of a run, mJ",
    )  # fmt: skip
    lines = []
    for row in rows:
        record, detail = row.record, row.record.memory_detail
        after = record.sensors_after
        power = None if after is None or row.energy_mj is None else after.power_w
        cells = (
            _described(row),
            row.device,
            row.input,
            "" if record.memory is None else mib(record.memory.peak_bytes),
            "" if detail is None else mib(detail.runtime_bytes),
            "" if detail is None else mib(detail.program_bytes),
            filled(lambda value: f"{value / 1e3:,.0f}", record.planned_arena_bytes),
            f"{record.model_bytes / 1e3:,.0f}",
            "" if record.macs is None else count(record.macs),
            filled(lambda value: f"{value:.2f}", power),
            filled(lambda value: f"{value:.3g}", row.energy_mj),
        )
        lines.append(Line(cells, row.facets, row.is_wrong))
    return Table(headings, tuple(lines), (0, 1))


def quality_table(rows: Sequence[Row]) -> Table | None:
    """Return the scores, the costs and the check of the outputs; None without any score."""
    keys = list(dict.fromkeys(key for row in rows for key in row.record.quality))
    scored = [row for row in rows if row.record.quality]
    if not scored:
        return None
    labels = (metric_of(key).label for key in keys)
    headings = ("program", "device", "phi", *labels, "MACs", "median, ms", "outputs")
    lines = []
    for row in scored:
        record = row.record
        cells = (
            _described(row),
            row.device,
            "" if row.phi is None else f"{row.phi:g}",
            *(filled(lambda value: f"{value:.4g}", record.quality.get(key)) for key in keys),
            "" if record.macs is None else count(record.macs),
            "" if record.latency is None else ms(record.latency.median_ms),
            _OUTPUTS[record.verification.result],
        )
        lines.append(Line(cells, row.facets, row.is_wrong))
    return Table(headings, tuple(lines), (0, 1, len(headings) - 1))


_OUTPUTS = {"passed": "correct", "failed": "WRONG", "not_run": "not checked"}


def sustained_table(rows: Sequence[Row]) -> Table:
    """Return the first, slowest and last block of sustained runs."""
    headings = (
        "program", "device", "minutes", "first block, ms", "slowest, ms", "last, ms",
        "last to first", "hottest, C", "marks",
    )  # fmt: skip
    lines = []
    for row in rows:
        run = row.record.sustained
        if run is None or not run.medians_ms:
            continue
        first, last = run.medians_ms[0], run.medians_ms[-1]
        hottest = max(run.temperatures_c, default=None)
        cells = (
            row.name,
            row.device,
            f"{run.block_s * len(run.medians_ms) / 60:.1f}",
            ms(first),
            ms(max(run.medians_ms)),
            ms(last),
            f"{last / first:.2f}" if first else "",
            filled(lambda value: f"{value:.1f}", hottest),
            ", ".join(row.marks),
        )
        lines.append(Line(cells, row.facets, row.is_wrong))
    return Table(headings, tuple(lines), (0, 1, 8))


def emulated_table(rows: Sequence[Row]) -> Table:
    """Return the instructions of programs on emulated devices."""
    headings = (
        "program", "device", "instructions", "instructions per MAC", "file, kB", "outputs", "method"
    )  # fmt: skip
    lines = []
    for row in rows:
        record, found = row.record, row.record.instructions
        per_mac = None if found is None or not record.macs else found.median / record.macs
        cells = (
            _described(row),
            row.device,
            "" if found is None else count(found.median),
            filled(lambda value: f"{value:.2f}", per_mac),
            f"{record.model_bytes / 1e3:,.0f}",
            _OUTPUTS[record.verification.result],
            "" if found is None else found.method,
        )
        lines.append(Line(cells, row.facets, row.is_wrong))
    return Table(headings, tuple(lines), (0, 1, 5, 6))


def machine_table(sessions: Sequence[SessionView]) -> Table:
    """Return the machine, its settings and its sensors at the start and the end of each session."""
    headings = (
        "device", "measured", "processor", "cores", "memory, GiB", "system", "pinned to",
        "governor", "temperature, C", "battery", "versions",
    )  # fmt: skip
    lines = []
    for session in sessions:
        row = session.rows[0]
        record, machine = row.record, row.record.environment
        before, after = record.sensors_before, record.sensors_after
        versions = {name: v for one in session.rows for name, v in one.record.versions.items()}
        hottest = [None if read is None else read.hottest_c for read in (before, after)]
        heat = [filled(lambda v: f"{v:.0f}", value) for value in hottest]
        charge = None if before is None else before.battery_percent
        cells = (
            row.device,
            f"{record.measured:%Y-%m-%d %H:%M}",
            machine.host_processor_model_name,
            str(machine.host_processor_core_count),
            f"{machine.host_memory_bytes / 2**30:.1f}",
            machine.operating_system,
            "" if machine.pinned_cpus is None else ", ".join(map(str, machine.pinned_cpus)),
            machine.governor or "",
            " to ".join(heat) if all(heat) else "",
            "" if charge is None else f"{charge:.0f} %",
            ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
        )
        lines.append(Line(cells, {"device": row.device}))
    return Table(headings, tuple(lines), (0, 1, 2, 5, 6, 7, 10))


def _described(row: Row) -> str:
    """Return the name of a row and the way in which it runs."""
    record = row.record
    return f"{row.name} · {record.backend} {record.precision} {record.filters}"


def _median(row: Row) -> float:
    return 0.0 if row.record.latency is None else row.record.latency.median_ms


def _text_of(ratio: Ratio | None) -> str:
    return "" if ratio is None else ratio_text(ratio)


def filled(words: Callable[[float], str], value: float | None) -> str:
    """Return a value as text; empty if it is unknown."""
    return "" if value is None else words(value)
