"""Measurement records that were never measured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from edge_pipeline.record import HostInfo, Latency, Memory, MemoryDetail, Record

__all__ = ["make_record"]

_HOST = HostInfo(
    cpu="Fake CPU",
    logical_cpus=4,
    memory_bytes=8 << 30,
    system="Linux 6 x86_64",
    pinned_cpus=(2,),
    governor=None,
    turbo=None,
    load_average_1min=0.1,
)
_MEMORY = MemoryDetail(
    baseline_bytes=50 << 20,
    runtime_bytes=20 << 20,
    program_bytes=30 << 20,
    peak_rss_bytes=100 << 20,
    method="fake",
)


def make_record(
    artifact: str = "fake",
    *,
    program: str = "forward",
    samples_ms: Sequence[float] = (10.0,) * 29 + (20.0,),
    warnings: Sequence[str] = (),
    preempted_runs: int = 0,
) -> Record:
    """A record whose statistics are round numbers, not those of its samples.

    Args:
        artifact: its name.
        program: its program.
        samples_ms: the runs.
        warnings: as the device gave them.
        preempted_runs: how many runs were disturbed.
    """
    return Record(
        artifact=artifact,
        artifact_digest="0" * 64,
        program=program,
        model="hyperconv_unet",
        backend="onnx",
        precision="fp32",
        filters="dynamic",
        device="host",
        threads=1,
        input_shapes={"packed": (1, 4, 256, 256)},
        macs=500_000_000,
        flops=1_000_000_000,
        import_ms=100,
        init_ms=23.4,
        first_run_ms=34.5,
        warmup=10,
        runs=len(samples_ms),
        latency=Latency(
            median_ms=10.1, p90_ms=12.2, p99_ms=14.3, min_ms=9.4, max_ms=20.5, mean_ms=11.6
        ),
        memory=Memory(peak_bytes=_MEMORY.runtime_bytes + _MEMORY.program_bytes),
        memory_detail=_MEMORY,
        samples_ms=tuple(samples_ms),
        preempted_runs=preempted_runs,
        host=_HOST,
        versions={"python": "3.11.0", "onnxruntime": "1.0"},
        warnings=tuple(warnings),
        measured=datetime(2025, 1, 1, tzinfo=UTC),
    )
