"""Plain exports of a module, made as each runtime's documentation describes, for comparison.

This module does not use this project's compiler. The same session that runs compiled programs runs
the exported file, in its own process, so only the programs differ. `networks.py` uses this module,
which prints nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from benchmarks.interleaved import Served
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["exported_plainly", "program_worker"]


def exported_plainly(
    backend: str, module: nn.Module, inputs: Mapping[str, Tensor], spec: ProgramSpec, folder: Path
) -> ProgramSpec:
    """Write the plain export of `module` to `folder`, and return its description.

    Args:
        backend: `onnx`, `executorch` or `litert`.
        module: A module in eval mode.
        inputs: Inputs by the names of the parameters of `forward`, in their order.
        spec: Description of the compiled program, whose tensors are those of the export, in order.
        folder: An existing folder.

    Returns:
        `spec` with the file and the tensor names of the export.

    Raises:
        Exception: Any error of the exporter.
    """
    example = tuple(inputs.values())
    # Exporters print their progress; stdout is only for the table.
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        return _EXPORTS[backend](module, example, spec, folder)


def _onnx(module: nn.Module, inputs: tuple[Tensor, ...], spec: ProgramSpec, folder: Path) -> Any:
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    taken, given = [t.name for t in spec.inputs], [t.name for t in spec.outputs]
    program = torch.onnx.export(
        module, inputs, input_names=taken, output_names=given, dynamo=True, verbose=False
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned None; expected a program")
    program.save(folder / "plain.onnx")
    return spec.model_copy(update={"file": "plain.onnx", "extra": ()})


def _executorch(
    module: nn.Module, inputs: tuple[Tensor, ...], spec: ProgramSpec, folder: Path
) -> Any:
    import torch

    # Its submodules are not attributes of the package until they are imported.
    partitioners = importlib.import_module(
        "executorch.backends.xnnpack.partition.xnnpack_partitioner"
    )
    exir = importlib.import_module("executorch.exir")
    edge = exir.to_edge_transform_and_lower(
        torch.export.export(module, inputs), partitioner=[partitioners.XnnpackPartitioner()]
    )
    (folder / "plain.pte").write_bytes(edge.to_executorch().buffer)
    return spec.model_copy(update={"file": "plain.pte", "extra": ()})


def _litert(module: nn.Module, inputs: tuple[Tensor, ...], spec: ProgramSpec, folder: Path) -> Any:
    litert_torch = importlib.import_module("litert_torch")
    litert_torch.convert(module, inputs).export(str(folder / "plain.tflite"))

    def renamed(tensors: Sequence[TensorSpec], stem: str) -> tuple[TensorSpec, ...]:
        return tuple(t.model_copy(update={"name": f"{stem}_{i}"}) for i, t in enumerate(tensors))

    names = {"inputs": renamed(spec.inputs, "args"), "outputs": renamed(spec.outputs, "output")}
    return spec.model_copy(update={"file": "plain.tflite", "extra": (), **names})


_EXPORTS = {"onnx": _onnx, "executorch": _executorch, "litert": _litert}


def program_worker(backend: str, folder: Path, spec: ProgramSpec, cpu: int) -> Served:
    """Return a process that runs a program, plain or compiled, pinned to one processor.

    Args:
        backend: Backend whose session runs it.
        folder: Folder of the program's file.
        spec: Description that `exported_plainly` returned, or that of a compiled program.
        cpu: Processor to pin to.
    """
    request = {
        "backend": backend,
        "folder": str(folder),
        "spec": spec.model_dump_json(),
        "cpu": cpu,
    }
    return Served("benchmarks.plain", request, stderr=subprocess.DEVNULL)


def serve(request: Mapping[str, Any]) -> None:
    """Run a program: read an order per line, and print the time of each in nanoseconds."""
    os.sched_setaffinity(0, {request["cpu"]})
    import numpy as np

    from edge_pipeline.registry import RUNTIMES

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # runtimes print
    spec = ProgramSpec.model_validate_json(request["spec"])
    generator = np.random.default_rng(0)
    inputs = {t.name: generator.random([int(n) for n in t.shape], np.float32) for t in spec.inputs}
    session: Any = None
    for order in sys.stdin:
        start = perf_counter_ns()
        if order.strip() == "run":
            session.run(inputs)
        else:
            path = Path(request["folder"]) / spec.file
            session = RUNTIMES.load(request["backend"]).open_session(path, spec, 1)
            gc.collect()
            gc.disable()
        print(perf_counter_ns() - start, file=answers, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", required=True)
    serve(json.loads(parser.parse_args().serve))
