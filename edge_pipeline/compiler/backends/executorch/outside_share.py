"""Which share of a run's time operators outside the delegate take.

ExecuTorch's own profiler, ETDump, is compiled out of the Python wheel. So the share is measured by
difference: the whole program against its delegates alone, each lowered again as a program of its
own, in turns in one process with one thread. What it costs to hand tensors to and fro counts as
outside, since without operators outside there is one delegate.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from edge_pipeline.compiler.backends.executorch.retracing import brief
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.optional import require

__all__ = ["measured_share"]

_ROUNDS = 9
_BINDING = "executorch.extension.pybindings._portable_lib"


def measured_share(manager: Any, files: Mapping[str, bytes], name: str) -> float:
    """The share, 0 to 1, of a run that is spent outside the delegates.

    Args:
        manager: ExecuTorch's, after lowering.
        files: the program and, where its weights are external, those.
        name: the program's, which its files begin with.

    Raises:
        RuntimeFailure: the program, or a delegate of it, does not run here.
    """
    binding = require(_BINDING, "executorch", "measuring what stays outside the delegate")
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        whole = _loaded(binding, Path(folder), files, name)
        parts = [
            _loaded(binding, Path(folder), {f"part{i}.pte": data}, f"part{i}")
            for i, data in enumerate(_delegates(manager))
        ]
        runs = [whole, *parts]
        times: list[list[int]] = [[] for _ in runs]
        for _ in range(_ROUNDS + 1):
            for run, taken in zip(runs, times, strict=True):
                start = time.perf_counter_ns()
                run()
                taken.append(time.perf_counter_ns() - start)
        del runs, parts, whole  # before the files that they are mapped from
    # The first round warms up.
    medians = [statistics.median(taken[1:]) for taken in times]
    return min(1.0, max(0.0, 1 - sum(medians[1:]) / medians[0]))


def _delegates(manager: Any) -> list[bytes]:
    """A program for each delegate, that runs it and nothing else."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, EdgeProgramManager

    module = manager.exported_program().graph_module
    found = []
    for node in module.graph.nodes:
        if node.op == "call_function" and "executorch_call_delegate" in str(node.target):
            inner = getattr(module, node.args[0].target).original_module
            for held in inner.graph.nodes:  # here weights stay inside
                held.meta.pop("custom", None)
                held.meta.pop("delegation_tag", None)
            config = EdgeCompileConfig(_check_ir_validity=False)
            alone = EdgeProgramManager({"forward": inner}, None, config)
            with brief():
                found.append(bytes(alone.to_backend(XnnpackPartitioner()).to_executorch().buffer))
    return found


def _loaded(
    binding: Any, folder: Path, files: Mapping[str, bytes], name: str
) -> Callable[[], object]:
    """A function that runs a program once, on inputs that are all a half."""
    for file, content in files.items():
        (folder / file).write_bytes(content)
    data = folder / f"{name}.ptd"
    try:
        module = binding._load_for_executorch(
            str(folder / f"{name}.pte"), str(data) if data.exists() else None
        )
        meta = module.method_meta("forward")
        # By ExecuTorch's numbers.
        kinds = {3: torch.int32, 4: torch.int64, 5: torch.float16, 6: torch.float32, 11: torch.bool}
        inputs = [
            torch.full(tensor.sizes(), 0.5).to(kinds[tensor.dtype()])
            for tensor in map(meta.input_tensor_meta, range(meta.num_inputs()))
        ]
        module.run_method("forward", inputs)
    except (RuntimeError, KeyError) as error:
        raise RuntimeFailure(
            f"{name} does not run here, so what stays outside could not be measured: {error}"
        ) from error
    return lambda: module.run_method("forward", inputs)
