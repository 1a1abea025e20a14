"""Versions of the packages that the worker needs on a device, beside the package itself."""

from __future__ import annotations

__all__ = ["PINS", "WORKER_PACKAGES", "requirements_of"]

PINS = {
    "ai-edge-litert": "2.3.0",
    "executorch": "1.4.1",
    "numpy": "2.4.6",
    "onnxruntime": "1.31.0",
    "packaging": "26.3",
    "psutil": "7.2.2",
    "pydantic": "2.11.10",
    "safetensors": "0.8.0",
    "torch": "2.13.0",
}
"""Versions that were tested together; those of constraints.txt, which a wheel does not contain."""

WORKER_PACKAGES = ("numpy", "packaging", "psutil", "pydantic", "safetensors")
"""Packages that `harness/worker.py` imports, without those of any runtime."""

_RUNTIMES = {
    "onnx": ("onnxruntime",),
    "litert": ("ai-edge-litert",),
    "executorch": ("executorch", "torch"),
}


def requirements_of(*backends: str) -> list[str]:
    """Return the requirements of a worker that runs artifacts of backends, in pip's syntax.

    Args:
        backends: Any of `onnx`, `litert` and `executorch`.
    """
    names = set(WORKER_PACKAGES).union(*(_RUNTIMES[backend] for backend in backends))
    return [f"{name}=={PINS[name]}" for name in sorted(names)]
