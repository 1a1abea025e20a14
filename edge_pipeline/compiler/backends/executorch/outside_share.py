"""Measurement of the share of a run's time that is spent in operators outside the delegate.

The Python wheel does not contain ExecuTorch's profiler, ETDump. So the share is measured by
difference: the whole program is compared with its delegates alone. Each delegate is lowered again
as a separate program, and all programs run in turns in one process with one thread. The cost of
passing tensors between delegates counts as outside, since a program without operators outside has
only one delegate.
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
# Types by ExecuTorch's numbers for them.
_KINDS = {
    0: torch.uint8,
    1: torch.int8,
    3: torch.int32,
    4: torch.int64,
    5: torch.float16,
    6: torch.float32,
    11: torch.bool,
}
_BINDING = "executorch.extension.pybindings._portable_lib"


def measured_share(manager: Any, files: Mapping[str, bytes], name: str) -> float:
    """Measure the share of a run's time, 0 to 1, that is spent outside the delegates.

    Args:
        manager: ExecuTorch's `EdgeProgramManager` after lowering.
        files: Contents of the program's files by name, with external weights if it has any.
        name: Name of the program; the names of its files begin with it.

    Raises:
        RuntimeFailure: If the program or one of its delegates does not run on this machine.
    """
    binding = require(_BINDING, "executorch", "measuring the time outside the delegate")
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
        del runs, parts, whole  # before the files that they map are deleted
    # The first round warms up.
    medians = [statistics.median(taken[1:]) for taken in times]
    return min(1.0, max(0.0, 1 - sum(medians[1:]) / medians[0]))


def _delegates(manager: Any) -> list[bytes]:
    """Return a program for each delegate, which contains only this delegate."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, EdgeProgramManager

    module = manager.exported_program().graph_module
    found = []
    for node in module.graph.nodes:
        if node.op == "call_function" and "executorch_call_delegate" in str(node.target):
            inner = getattr(module, node.args[0].target).original_module
            for held in inner.graph.nodes:  # so that weights stay inside this program
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
    """Return a function that runs a program once, with 0.5 as the value of all inputs."""
    for file, content in files.items():
        (folder / file).write_bytes(content)
    data = folder / f"{name}.ptd"
    try:
        module = binding._load_for_executorch(
            str(folder / f"{name}.pte"), str(data) if data.exists() else None
        )
        meta = module.method_meta("forward")
        inputs = [
            torch.full(tensor.sizes(), 0.5).to(_KINDS[tensor.dtype()])
            for tensor in map(meta.input_tensor_meta, range(meta.num_inputs()))
        ]
        module.run_method("forward", inputs)
    except (RuntimeError, KeyError) as error:
        raise RuntimeFailure(
            f"{name} does not run here, so the time outside the delegate cannot be measured: "
            f"{error}"
        ) from error
    return lambda: module.run_method("forward", inputs)
