"""Formatting of numbers, shapes, settings and warnings for readers."""

from __future__ import annotations

from collections.abc import Sequence

from edge_pipeline.record import Record

__all__ = ["count", "mib", "ms", "setting_of", "shape", "warnings_of"]

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def ms(value: float) -> str:
    """Return milliseconds as text with at least three significant digits, without the unit."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def mib(size: int) -> str:
    """Return bytes as mebibytes with one decimal, without the unit."""
    return f"{size / 2**20:.1f}"


def count(value: int) -> str:
    """Return a number of operations with an SI prefix, such as `1.73 G`."""
    for factor, prefix in _PREFIXES:
        if value >= factor:
            return f"{value / factor:.2f} {prefix}"
    return str(value)


def shape(sizes: Sequence[int]) -> str:
    """Return a shape as text, such as `4x256x256`."""
    return "x".join(map(str, sizes))


def setting_of(record: Record) -> str:
    """Return the setting of a measurement: device, processor, threads, pinning, runs."""
    cpus = record.environment.pinned_cpus
    where = "not pinned" if cpus is None else f"pinned to CPU {', '.join(map(str, cpus))}"
    threads = f"{record.threads} thread{'s' if record.threads > 1 else ''}"
    return (
        f"{record.device}, {record.environment.host_processor_model_name}, {threads}, {where}; "
        f"{_runs(record)}"
    )


def _runs(record: Record) -> str:
    if record.emulated:
        return "emulated, so there are no times"
    return (
        f"{record.num_runs} runs in interleaved rounds after {record.num_warmup_runs} warm-up runs"
    )


def warnings_of(records: Sequence[Record]) -> list[str]:
    """Return what disturbed or spoiled a measurement, each fact once."""
    found = {warning: None for record in records for warning in record.warnings}
    hit = sum(record.preempted_runs for record in records)
    if hit:
        runs = sum(record.num_runs for record in records)
        found[f"{hit} of {runs} timed runs were preempted by another process"] = None
    for record in records:
        label = f"{record.artifact} {record.program}"
        if record.verification.result == "failed":
            found[f"{label} computed wrong outputs: {record.verification.complaint}"] = None
        if record.verification.result == "not_run":
            found[f"the outputs of {label} were not verified"] = None
        if record.warmup_stable is False:
            found[f"the times of {label} were not stable after the warm-up"] = None
        if record.throttled:
            found[f"{record.device} throttled during the measurement"] = None
    return list(found)
