"""Records of many devices that were never measured: what a report has to show, all of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from edge_pipeline.harness.statistics import summarise
from edge_pipeline.record import (
    Environment,
    Instructions,
    Layer,
    Memory,
    MemoryDetail,
    OperatorTime,
    Peaks,
    Record,
    Sensors,
    Sustained,
    Verification,
)
from tests.fakes.records import make_record

__all__ = ["PHIS", "many_records"]

PHIS = (0.15, 0.3, 0.45, 0.6)
"""Values of phi of the made-up segmenter."""
_PEAKS = Peaks(gflops=110, copy_gb_s=12, how="made up for a test")
_SCORES = {0.15: 0.914, 0.3: 0.9205, 0.45: 0.918, 0.6: 0.9226}


def _machine(name: str, processor: str, system: str, **changes: Any) -> Environment:
    fields = {
        "system_name": name,
        "host_processor_model_name": processor,
        "host_processor_core_count": 8,
        "host_memory_bytes": 8 << 30,
        "operating_system": system,
        "pinned_cpus": (7,),
        "governor": "schedutil",
    }
    return Environment(**(fields | changes))


_PHONE = _machine("Google Pixel 8", "Google Tensor G3", "Android 15 aarch64")
_BOARD = _machine("Raspberry Pi 5 Model B", "Cortex-A76", "Debian 12 aarch64", governor="ondemand")
_GPU = _machine(
    "Supermicro server", "AMD EPYC 9554", "Debian 12 x86_64",
    accelerator_model_name="NVIDIA H100 80GB HBM3", pinned_cpus=None, governor=None,
)  # fmt: skip
_ARM = _machine("QEMU user mode", "AArch64, emulated", "Debian 12 aarch64", governor=None)


def _layers(macs: int) -> tuple[Layer, ...]:
    shares = {"enter": 0.3, "encoder0.0": 0.36, "encoder1.0": 0.2, "predictor.mix": 0.02}
    parts = {"enter": 0.28, "encoder0.0": 0.42, "encoder1.0": 0.29, "predictor.mix": 0.01}
    weights = {"enter": 900, "encoder0.0": 4600, "encoder1.0": 37_000, "predictor.mix": 90_000}
    traffic = {
        "enter": 4_200_000, "encoder0.0": 3_100_000, "encoder1.0": 700_000, "predictor.mix": 500
    }  # fmt: skip
    return tuple(
        Layer(
            name=name,
            op="linear" if "mix" in name else "conv2d",
            macs=round(macs * part),
            flops=2 * round(macs * part),
            params=weights[name] // 4,
            weight_bytes=weights[name],
            activation_bytes=traffic[name],
            share=shares[name],
        )
        for name, part in parts.items()
    )


def _times(median: float, seed: int, runs: int = 120) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    samples = median * (1 + 0.04 * rng.standard_normal(runs) + rng.gamma(0.3, 0.06, runs))
    samples[rng.integers(runs, size=2)] *= 1.6
    times = tuple(float(value) for value in samples)
    return {"samples_ms": times, "num_runs": runs, "latency": summarise(times)}


def _memory(program: int, runtime: int) -> dict[str, Any]:
    detail = MemoryDetail(
        baseline_bytes=20 << 20,
        runtime_bytes=runtime << 20,
        program_bytes=program << 20,
        peak_rss_bytes=(20 + runtime + program) << 20,
        method="made up",
    )
    return {"memory": Memory(peak_bytes=detail.added_bytes), "memory_detail": detail}


def _segmenter(phi: float, median: float, seed: int, **changes: Any) -> Record:
    macs = round(2e8 * (0.5 + phi) ** 2)
    fields = {
        "model": "phi_unet",
        "filters": "specialised",
        "fixed": {"phi": phi},
        "input_shapes": {"image": (1, 3, 256, 256)},
        "macs": macs,
        "flops": 2 * macs,
        "model_bytes": 232_000,
        "quality": {"dice": _SCORES[phi], "miou": _SCORES[phi] - 0.03},
        "layers": _layers(macs),
    }
    artifact = f"runs/nuclei_{changes.get('backend', 'onnx')}_{phi:g}"
    digest = artifact.encode().hex()[:64]
    fields |= {"artifact_digest": digest} | _times(median, seed) | _memory(14, 22)
    return make_record(artifact, **(fields | changes))


def _phone() -> list[Record]:
    at = {
        "session": "1" * 32, "device": "adb:3A161FDJH000Z", "environment": _PHONE,
        "runner": "benchmark_model", "measured": datetime(2025, 3, 2, 9, 30, tzinfo=UTC),
        "sensors_before": Sensors(temperatures_c={"soc": 31.0}, battery_percent=82, charging=False),
        "sensors_after": Sensors(
            temperatures_c={"soc": 38.5}, battery_percent=81, charging=False, power_w=3.4,
            throttled=False,
        ),
        "throttled": False, "backend": "litert", "versions": {"litert": "2.1"},
    }  # fmt: skip
    found = [_segmenter(phi, 9 + 40 * phi, k, **at) for k, phi in enumerate(PHIS)]
    found.append(
        _segmenter(
            0.3,
            8.2,
            11,
            precision="int8",
            model_bytes=61_000,
            quality={"dice": 0.9105, "miou": 0.871},
            verification=Verification(
                result="failed",
                max_abs=3.1,
                max_rel=0.4,
                psnr_db=18.2,
                complaint="logits differ by up to 3.1, at most 0.25 is allowed",
            ),
            **{key: value for key, value in at.items() if key != "precision"},
        )
    )
    minutes = range(20)
    hot = Sustained(
        block_s=30,
        medians_ms=tuple(21 + 9 / (1 + np.exp(8 - k)) + 0.2 * (k % 3) for k in minutes),
        temperatures_c=tuple(38.5 + 9 * (1 - np.exp(-k / 6)) for k in minutes),
    )
    late = at | {"session": "2" * 32, "measured": datetime(2025, 3, 2, 10, 5, tzinfo=UTC)}
    after = Sensors(temperatures_c={"soc": 47.2}, thermal_status="moderate", throttled=True)
    late |= {"throttled": True, "sustained": hot, "sensors_after": after}
    return [*found, _segmenter(0.3, 23.5, 21, **late, warmup_stable=False)]


def _warm(median: float) -> Sustained:
    minutes = range(20)
    return Sustained(
        block_s=30,
        medians_ms=tuple(median * (1 + 0.004 * k) for k in minutes),
        temperatures_c=tuple(49 + median / 10 + 0.5 * k for k in minutes),
    )


def _others() -> list[Record]:
    board = {
        "session": "3" * 32, "device": "ssh:pi5", "environment": _BOARD, "threads": 4,
        "sensors_before": Sensors(temperatures_c={"cpu": 49.0}),
        "sensors_after": Sensors(temperatures_c={"cpu": 61.0}, throttled=False),
    }  # fmt: skip
    gpu = {
        "session": "4" * 32, "device": "cuda", "environment": _GPU, "precision": "fp16",
        "runner": "torch.compile", "peaks": None, "versions": {"torch": "2.9"},
    }  # fmt: skip
    return [
        *(
            _segmenter(phi, 19 + 60 * phi, 30 + k, **board, sustained=_warm(20 + 60 * phi))
            for k, phi in enumerate(PHIS[:2])
        ),
        *(_segmenter(phi, 19 + 60 * phi, 30 + k, **board) for k, phi in enumerate(PHIS[2:])),
        *(_segmenter(phi, 0.8 + 0.5 * phi, 40 + k, **gpu) for k, phi in enumerate(PHIS)),
    ]


def _host() -> list[Record]:
    operators = (
        OperatorTime(name="/enter/Conv", kind="Conv", layer="enter", share=0.45),
        OperatorTime(name="/encoder0/Conv", kind="Conv", layer="encoder0.0", share=0.35),
        *(
            OperatorTime(name=f"/tail/{k}", kind="Add", layer=None, share=0.2 / 14)
            for k in range(14)
        ),
    )
    at = {
        "session": "5" * 32,
        "peaks": _PEAKS,
        "operators": operators,
        "warnings": ("CPU 1 was 40 % busy before the measurement",),
        "preempted_runs": 7,
    }
    isp = make_record(
        "calibration/pretrained/isp_default/artifact",
        filters="refolded",
        quality={"psnr_srgb_db_low": 38.8, "ssim": 0.954, "delta_e": 2.31},
        **at,
        **_times(14.0, 60),
        **_memory(31, 22),
    )
    raw = make_record(
        "calibration/pretrained/isp_default/artifact",
        program="predict_filters",
        filters="refolded",
        **(at | {"operators": ()}),
        **_times(2.6, 61),
        **_memory(12, 22),
    )
    return [*(_segmenter(phi, 11 + 50 * phi, 50 + k, **at) for k, phi in enumerate(PHIS)), isp, raw]


def _emulated() -> list[Record]:
    at: dict[str, Any] = {
        "session": "6" * 32, "device": "emulator", "emulated": True, "environment": _ARM,
        "latency": None, "samples_ms": (), "num_runs": 0, "memory": None, "memory_detail": None,
        "init_ms": None, "first_inference_ms": None, "import_ms": None, "warmup_stable": None,
    }  # fmt: skip
    found = []
    for phi in PHIS:
        counts = tuple(round(4e8 * (0.5 + phi) ** 2 + k) for k in range(5))
        counted = Instructions(median=counts[2], samples=counts, method="a plugin of QEMU 8")
        found.append(_segmenter(phi, 1.0, 0, **at, instructions=counted))
    return found


def many_records() -> list[Record]:
    """Records of a phone, a board, a GPU, this machine and an emulator, with faults among them."""
    return [*_phone(), *_others(), *_host(), *_emulated()]
