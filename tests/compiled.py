"""Any module through a backend's passes, its writer and its runtime, without an artifact."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.registry import BACKENDS, RUNTIMES
from tests.programs import exported

__all__ = ["PACKAGES", "outputs_of"]

# What each backend that runs here needs installed.
PACKAGES = {
    "onnx": "onnxscript",
    "executorch": "executorch.exir",
    "litert": "litert_torch",
    "coreml": "coremltools",
}


def outputs_of(
    backend: str, module: nn.Module, inputs: Sequence[Tensor], folder: Path, **options: Any
) -> list[NDArray[np.float32]]:
    """What the module gives once compiled for `backend`, at the inputs' own size.

    Args:
        backend: as in the registry.
        module: any.
        inputs: float32.
        folder: to write into.
        options: further fields of the backend's EmitOptions, such as precision.
    """
    names = [f"x{i}" for i in range(len(inputs))]
    source = exported(module, *inputs)
    passes = passes_for(backend, precision=options.get("precision", "fp32"))
    program = run_passes(source, passes, inputs)
    with torch.no_grad():
        given = module(*inputs)
    given = given if isinstance(given, tuple) else (given,)
    outs = [f"y{i}" for i in range(len(given))]
    written = BACKENDS.load(backend).emit(program, EmitOptions("forward", names, outs, **options))
    taken = dict(zip(names, inputs, strict=True))
    spec = _spec(written, taken, dict(zip(outs, given, strict=True)))
    for name, data in written.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    feed = {name: value.numpy() for name, value in taken.items()}
    with RUNTIMES.load(backend).open_session(folder / written.file, spec, 1) as session:
        found = session.run(feed)
    return [found[name] for name in outs]


def _spec(written: Emitted, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> ProgramSpec:
    def tensors(values: dict[str, Tensor]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                name=name,
                shape=tuple(value.shape),
                layout="NCHWDE"[: value.dim()],
                meaning="a test's",
            )
            for name, value in values.items()
        )

    return ProgramSpec(
        name="forward",
        file=written.file,
        inputs=tensors(inputs),
        outputs=tensors(outputs),
        macs=0,
        flops=0,
        delegation=written.delegation,
        reference="none",
        extra=tuple(name for name in written.files if name != written.file),
    )
