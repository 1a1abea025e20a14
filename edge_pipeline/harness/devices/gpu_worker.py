"""The process in which a GPU runs a program; it answers the orders of `harness/worker.py`.

The network runs from the artifact's own graph in torch, in one of several variants, or the program
runs in ONNX Runtime's GPU provider. On a GPU, times are those between CUDA events, and the memory
is the peak of torch's allocator. For tests, the same code runs on the CPU with a clock.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import InputError, RuntimeFailure, first_line
from edge_pipeline.harness.job import inputs_of
from edge_pipeline.harness.worker import job_of, serve
from edge_pipeline.optional import require
from edge_pipeline.record import MemoryDetail
from edge_pipeline.runtime.graph_module import graph_module

__all__ = ["VARIANTS", "GpuServer"]

VARIANTS = ("eager", "compile", "channels_last", "fp16", "onnx")
"""Ways to run a network: in torch as it is, with `torch.compile`, with maps in channels-last order,
with float16 autocast; and in ONNX Runtime's GPU provider."""

_WARM_RUNS = 3

Call = Callable[[], Sequence[Any]]


class GpuServer:
    """Executes orders for one job.

    Args:
        request: `artifact`, `program` and `size` as for `harness.worker`; `variant`, and `device`,
            which is `cuda` or, in tests, `cpu`.

    Raises:
        EdgePipelineError: If the artifact cannot be opened, or the variant cannot run it.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._job = job_of(request)
        self._variant: str = request["variant"]
        self._device: str = request["device"]
        self._call: Call | None = None
        self._torch: Any = None

    def answer(self, order: str) -> dict[str, Any]:
        """Execute an order, and return the result.

        Raises:
            EdgePipelineError: If torch is not installed, or the network cannot run.
        """
        word, _, rest = order.partition(" ")
        if word == "load":
            return self._load()
        if word == "run":
            return {"runs": [(self._timed(), 0) for _ in range(int(rest))]}
        if word == "outputs":
            return {"outputs": self._write_outputs(Path(rest))}
        if word == "memory":
            return {"memory": self._memory().model_dump()}
        raise RuntimeError(f"unknown order {word!r}")

    def _load(self) -> dict[str, Any]:
        start = time.perf_counter_ns()
        self._torch = require("torch", "onnx", "running the network on a GPU")
        if self._device == "cuda" and not self._torch.cuda.is_available():
            raise InputError("torch finds no CUDA device; see whether nvidia-smi lists one")
        import_ns = time.perf_counter_ns() - start
        start = time.perf_counter_ns()
        self._call = self._prepared(inputs_of(self._job))
        self._run()  # torch.compile compiles in the first call
        self._wait()
        init_ns = time.perf_counter_ns() - start
        gc.collect()
        gc.disable()
        return {"import_ns": import_ns, "init_ns": init_ns, "versions": self._versions()}

    def _prepared(self, inputs: Mapping[str, Any]) -> Call:
        """Return a function that runs the network on inputs that are on the device already."""
        spec = self._job.artifact.program(self._job.program)
        values = [inputs[tensor.name] for tensor in spec.inputs]
        if self._variant == "onnx":
            return _onnx_call(self._job.artifact, self._job.program, inputs, self._device)
        if spec.graph is None:
            raise InputError(f"{self._job.label} contains no graph of the network for a GPU")
        torch = self._torch
        module = graph_module(self._job.artifact.path(spec.graph), self._device)
        tensors = [torch.from_numpy(np.array(value)).to(self._device) for value in values]
        if self._variant == "channels_last":
            module = module.to(memory_format=torch.channels_last)
            tensors = [
                t.to(memory_format=torch.channels_last) if t.dim() == 4 else t for t in tensors
            ]
        if self._variant == "compile":
            module = torch.compile(module, mode="max-autotune-no-cudagraphs")

        def call() -> Sequence[Any]:
            half = self._variant == "fp16"
            reduced = torch.autocast(self._device, torch.float16)
            context = reduced if half else contextlib.nullcontext()
            with torch.inference_mode(), context:
                outputs: Sequence[Any] = module(*tensors)
            return outputs

        return call

    def _run(self) -> Sequence[Any]:
        if self._call is None:
            raise RuntimeError("run before load")
        try:
            return self._call()
        except Exception as error:  # torch, its compiler and ONNX Runtime raise any kind
            reason = first_line(error)
            raise RuntimeFailure(
                f"{self._variant} cannot run {self._job.label}: {reason}"
            ) from error

    def _wait(self) -> None:
        if self._device == "cuda":
            self._torch.cuda.synchronize()

    def _timed(self) -> int:
        """Run once, and return the time in ns."""
        if self._device != "cuda":
            start = time.perf_counter_ns()
            self._run()
            return time.perf_counter_ns() - start
        events = [self._torch.cuda.Event(enable_timing=True) for _ in range(2)]
        events[0].record()
        self._run()
        events[1].record()
        self._wait()
        return round(float(events[0].elapsed_time(events[1])) * 1e6)

    def _write_outputs(self, path: Path) -> str:
        spec = self._job.artifact.program(self._job.program)
        reference, _ = self._job.artifact.reference(self._job.program)
        kept = self._call
        self._call = self._prepared(reference)
        try:
            outputs = self._run()
        finally:
            self._call = kept
        arrays = {
            tensor.name: np.asarray(_array(value, tensor.dtype), order="C")
            for tensor, value in zip(spec.outputs, outputs, strict=True)
        }
        safetensors.numpy.save_file(arrays, path)
        return str(path)

    def _memory(self) -> MemoryDetail:
        self._load()
        peak = 0
        if self._device == "cuda":
            self._torch.cuda.reset_peak_memory_stats()
            for _ in range(_WARM_RUNS):
                self._run()
            self._wait()
            peak = int(self._torch.cuda.max_memory_allocated())
        return MemoryDetail(
            baseline_bytes=0,
            runtime_bytes=0,
            program_bytes=peak,
            peak_rss_bytes=peak,
            method="torch.cuda.max_memory_allocated: weights, inputs, maps",
        )

    def _versions(self) -> dict[str, str]:
        found = {"torch": str(self._torch.__version__)}
        if self._device == "cuda":
            found["cuda"] = str(self._torch.version.cuda)
        if self._variant == "onnx":
            found["onnxruntime"] = importlib.metadata.version("onnxruntime")
        return found


def _array(value: Any, dtype: str) -> Any:
    """Return an output as an array of the type that the manifest states."""
    array = value if isinstance(value, np.ndarray) else value.detach().cpu().float().numpy()
    return array.astype(dtype)


def _onnx_call(artifact: Artifact, program: str, inputs: Mapping[str, Any], device: str) -> Call:
    """Return a function that runs the program in ONNX Runtime, with inputs on the device."""
    import onnxruntime

    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise InputError("ONNX Runtime has no CUDA provider here; install onnxruntime-gpu")
    spec = artifact.program(program)
    session = onnxruntime.InferenceSession(str(artifact.path(spec.file)), providers=[provider])
    binding = session.io_binding()
    held = [onnxruntime.OrtValue.ortvalue_from_numpy(v, device, 0) for v in inputs.values()]
    for name, value in zip(inputs, held, strict=True):
        binding.bind_ortvalue_input(name, value)
    for tensor in spec.outputs:
        binding.bind_output(tensor.name, device)

    def call() -> Sequence[Any]:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return [value.numpy() for value in binding.get_outputs()] if device == "cpu" else _copied()

    def _copied() -> Sequence[Any]:
        return _OnDevice(binding.copy_outputs_to_cpu)

    return call


class _OnDevice(Sequence[Any]):
    """Outputs that are copied from the GPU only when they are read, after the timed run."""

    def __init__(self, copy: Callable[[], Sequence[Any]]) -> None:
        self._copy = copy

    def __len__(self) -> int:
        return len(self._copy())

    def __getitem__(self, index: Any) -> Any:
        return self._copy()[index]


if __name__ == "__main__":
    serve(GpuServer)
