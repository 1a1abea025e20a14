"""An NVIDIA GPU of this machine as a device: the reference with which phones are compared.

No GPU was available in the development of this module: its process and all of its variants were
tested on the CPU, and the parts that only CUDA has (events, allocator, nvidia-smi) were not run.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from functools import partial

from edge_pipeline.errors import InputError
from edge_pipeline.harness.devices.base import Attached, Device, Options
from edge_pipeline.harness.devices.gpu_worker import VARIANTS
from edge_pipeline.harness.devices.this_machine import ThisMachine, start_python
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.process import ProcessWorker, worker_request
from edge_pipeline.record import Environment, MemoryDetail, Sensors

__all__ = ["Cuda", "attached", "open_device"]

_MODULE = "edge_pipeline.harness.devices.gpu_worker"
_QUERY_S = 20.0
_COMPILE_S = 1800.0


def open_device(address: str, _options: Options, /) -> Device:
    """Return the GPU with a variant of the network.

    Args:
        address: One of `VARIANTS`; empty for `eager`.

    Raises:
        InputError: If there is no such variant, or no GPU.
    """
    variant = address or "eager"
    if variant not in VARIANTS:
        raise InputError(f"no variant is called {variant!r}; choose from {', '.join(VARIANTS)}")
    problem = _problem()
    if problem is not None:
        raise InputError(f"the device cuda cannot be used: {problem}")
    return Cuda(variant)


def attached() -> Sequence[Attached]:
    """Return the GPU with each variant, or the reason why there is none."""
    problem = _problem()
    if problem is not None:
        return [Attached("cuda", "NVIDIA GPU", {}, problem)]
    every = ("onnx", "executorch", "litert", "coreml")
    return [
        Attached(
            f"cuda:{variant}",
            _gpu_name(),
            dict.fromkeys(("onnx",) if variant == "onnx" else every, f"torch {variant}"),
        )
        for variant in VARIANTS
    ]


class Cuda(ThisMachine):
    """A GPU of this machine; the process that controls it is pinned as on the host.

    Args:
        variant: One of `VARIANTS`.
        where: `cuda`, or `cpu` in tests.
    """

    def __init__(self, variant: str, where: str = "cuda") -> None:
        super().__init__(f"cuda:{variant}")
        self._variant = variant
        self._where = where

    def describe(self) -> Environment:
        """Return a description of the machine, with the name of the GPU."""
        name = _gpu_name() if self._where == "cuda" else self._where
        return super().describe().model_copy(update={"accelerator_model_name": name})

    def sensors(self) -> Sensors:
        """Return the temperature, the power and the throttling state of the GPU."""
        if self._where != "cuda":
            return super().sensors()
        return _sensors_of(
            _smi("temperature.gpu,power.draw,clocks_event_reasons.sw_thermal_slowdown")
        )

    def refusal(self, job: Job) -> str | None:
        """Return a sentence if the variant cannot run a job's artifact, or None."""
        if self._variant != "onnx" or job.artifact.manifest.backend == "onnx":
            return None
        return f"{job.artifact.folder} cannot run on {self.name}: it is not for ONNX Runtime"

    def peak_memory(self, job: Job) -> MemoryDetail | None:
        """Return the peak of torch's allocator; None for ONNX Runtime, which has another."""
        return None if self._variant == "onnx" else super().peak_memory(job)

    def _worker(self, job: Job) -> ProcessWorker:
        folder = str(job.artifact.folder.absolute())
        request = worker_request(job, folder, threads=self._threads, cpus=self._cpus)
        request |= {"variant": self._variant, "device": self._where}
        runner = f"torch {self._variant}" if self._variant != "onnx" else "ONNX Runtime, CUDA"
        return ProcessWorker(
            job.label,
            partial(start_python, _MODULE, self._threads),
            request,
            runner=runner,
            precision="fp16" if self._variant == "fp16" else None,
            answer_s=_COMPILE_S,
        )


def _problem() -> str | None:
    """Return the reason why no GPU can be used, or None."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed; run: pip install 'edge-pipeline[onnx]'"
    if shutil.which("nvidia-smi") is None:
        return "this machine has no NVIDIA driver (nvidia-smi is not found)"
    return None if _gpu_name() else "nvidia-smi lists no GPU"


def _gpu_name() -> str:
    found = _smi("name")
    return found[0] if found else ""


def _smi(fields: str) -> list[str]:
    """Return the values of fields that nvidia-smi reports for the first GPU; empty if it fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        done = subprocess.run(  # noqa: S603 - the driver's program, with fields of this module
            [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_QUERY_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.strip().splitlines() if done.returncode == 0 else []
    return [word.strip() for word in lines[0].split(",")] if lines else []


def _sensors_of(values: Sequence[str]) -> Sensors:
    """Return the readings of `temperature.gpu`, `power.draw` and the thermal slowdown."""
    if len(values) != 3:
        return Sensors()
    temperature, power, slow = values
    return Sensors(
        temperatures_c={"gpu": float(temperature)} if _is_number(temperature) else {},
        power_w=float(power) if _is_number(power) else None,
        throttled={"Active": True, "Not Active": False}.get(slow),
    )


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
