"""Time and arithmetic of each operator of an ONNX program, and the peak of this machine."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

__all__ = ["Operator", "operator_times", "peak_flops"]

_RUNS = 24
_KERNEL = "_kernel_time"


class Operator(NamedTuple):
    """One operator, or several of a kind without multiplications.

    Attributes:
        name: Name in the program.
        output: Shape of the output, as text; empty for several.
        macs: Multiply-accumulates of a convolution, otherwise 0.
        seconds: Its fastest run.
    """

    name: str
    output: str
    macs: int
    seconds: float


def operator_times(path: Path, window: int) -> list[Operator]:
    """Run an ONNX program with a packed capture of random values, on one thread.

    Args:
        path: File of the program, whose only input is `packed`.
        window: Height and width of the input, in packed pixels.

    Returns:
        All convolutions, slowest first, then the sums of the other operators by kind.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        packed = np.random.default_rng(0).random((1, 4, window, window), np.float32)
        for _ in range(_RUNS):
            session.run(None, {"packed": packed})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    fastest: dict[str, dict[str, Any]] = {}
    for event in events:
        name = event["name"]
        if not name.endswith(_KERNEL):
            continue
        if name not in fastest or event["dur"] < fastest[name]["dur"]:
            fastest[name] = event
    convolutions, others = [], dict[str, float]()
    for name, event in fastest.items():
        kind, seconds = event["args"]["op_name"], event["dur"] / 1e6
        if kind == "Conv":
            convolutions.append(_convolution(name.removesuffix(_KERNEL), event["args"], seconds))
        else:
            others[kind] = others.get(kind, 0.0) + seconds
    convolutions.sort(key=lambda one: -one.seconds)
    sums = [Operator(kind, "", 0, seconds) for kind, seconds in others.items()]
    return convolutions + sorted(sums, key=lambda one: -one.seconds)


def _convolution(name: str, arguments: dict[str, Any], seconds: float) -> Operator:
    """Return a convolution; its multiplications include those for channels that fill a block."""
    (output,) = (next(iter(one.values())) for one in arguments["output_type_shape"])
    weight: Sequence[int] = next(iter(arguments["input_type_shape"][1].values()))
    # Every output value is a sum over the weights of its filter.
    macs = math.prod(output) * math.prod(weight[1:])
    return Operator(name, "x".join(map(str, output[1:])), macs, seconds)


def peak_flops() -> float:
    """Return the floating-point operations that torch computes per second of one thread's CPU time.

    It is the best of a product of two matrices of 2048 x 2048 and of a 64 -> 64 convolution of
    256 x 256 pixels, the fastest of several runs.
    """
    import torch

    torch.set_num_threads(1)
    matrix, maps = torch.rand(2048, 2048), torch.rand(1, 64, 256, 256)
    layer = torch.nn.Conv2d(64, 64, 3, padding=1)
    best = 0.0
    with torch.inference_mode():
        for _ in range(_RUNS):
            for work, flops in (
                (lambda: matrix @ matrix, 2 * 2048**3),
                (lambda: layer(maps), 2 * 64 * 64 * 9 * 256**2),
            ):
                start = process_time()
                work()
                best = max(best, flops / (process_time() - start))
    return best
