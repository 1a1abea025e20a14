"""Measurement records that were never measured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from edge_pipeline.record import Environment, Latency, Memory, MemoryDetail, Record, Verification

__all__ = ["make_record"]

_ENVIRONMENT = Environment(
    system_name="Fake machine",
    host_processor_model_name="Fake CPU",
    host_processor_core_count=4,
    host_memory_bytes=8 << 30,
    operating_system="Linux 6 x86_64",
    pinned_cpus=(2,),
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
    **changes: Any,
) -> Record:
    """A record whose statistics are round numbers, not those of its samples.

    Args:
        artifact: its name.
        program: its program.
        samples_ms: the runs.
        warnings: as the device gave them.
        preempted_runs: how many runs were disturbed.
        changes: values of any other fields.
    """
    fields: dict[str, Any] = {
        "session": "0" * 32,
        "artifact": artifact,
        "artifact_digest": "0" * 64,
        "program": program,
        "model": "hyperconv_unet",
        "backend": "onnx",
        "precision": "fp32",
        "filters": "dynamic",
        "device": "host",
        "runner": "edge_pipeline.harness.worker",
        "threads": 1,
        "input_shapes": {"packed": (1, 4, 256, 256)},
        "macs": 500_000_000,
        "flops": 1_000_000_000,
        "model_bytes": 100_000,
        "import_ms": 100,
        "init_ms": 23.4,
        "first_inference_ms": 34.5,
        "num_warmup_runs": 10,
        "warmup_stable": True,
        "num_runs": len(samples_ms),
        "latency": Latency(
            median_ms=10.1,
            p5_ms=9.5,
            p90_ms=12.2,
            p95_ms=13.1,
            p99_ms=14.3,
            min_ms=9.4,
            max_ms=20.5,
            avg_ms=11.6,
            stddev_ms=2.1,
        ),
        "memory": Memory(peak_bytes=_MEMORY.runtime_bytes + _MEMORY.program_bytes),
        "memory_detail": _MEMORY,
        "samples_ms": tuple(samples_ms),
        "preempted_runs": preempted_runs,
        "verification": Verification(result="passed", max_abs=1e-6, max_rel=1e-6, psnr_db=130.0),
        "environment": _ENVIRONMENT,
        "versions": {"python": "3.11.0", "onnxruntime": "1.0"},
        "warnings": tuple(warnings),
        "measured": datetime(2025, 1, 1, tzinfo=UTC),
    }
    return Record(**(fields | changes))
