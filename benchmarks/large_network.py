"""The large published network on a large capture: time and memory, against eager PyTorch.

    python -m benchmarks.large_network [--size 3072x4096] [--rounds 3] [--threads 2] [--keep FOLDER]

Prints tables of docs/speed.md. The network is `hyperconv_unet` (n_fwd 32, n_embed 16, n_hid 2048)
with fresh weights. Eager PyTorch runs it over the whole capture. Compiled for ONNX Runtime with
refolded filters, its filters are predicted once and used for all tiles; the published head aligns
corners and cannot be tiled, so it is also run in one piece. Each run has a process of its own. The
last table has the memory of the predictor alone, from /proc/self/smaps (Linux only).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.options import parse_size
from edge_pipeline.isp.network import IspSession
from edge_pipeline.raw.windows import view
from edge_pipeline.runtime.base import open_session

MODEL = "hyperconv_unet"
OPTIONS: dict[str, str | int | float | bool] = {"n_fwd": 32, "n_embed": 16, "n_hid": 2048}
WEIGHTS = "predict_filters.onnx.data"

Facts = dict[str, float]


def mosaic_of(size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a synthetic mosaic: smooth light and noise, 0..1."""
    rows, columns = (np.linspace(0, 9, n, dtype=np.float32) for n in size)
    light = 0.4 + 0.3 * np.sin(rows)[:, None] * np.cos(columns)[None]
    noise = np.random.default_rng(0).standard_normal(size, np.float32)
    return np.asarray(np.clip(light + np.float32(0.02) * noise, 0, 1), np.float32)


def resident_mb() -> Facts:
    """Return the resident memory of this process, private and of the predictor's weights file."""
    anonymous = weights = 0
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if "-" in name.split(" ")[0] and not value.strip().endswith("kB"):
            inside = WEIGHTS in line
        elif name == "Rss" and inside:
            weights += int(value.split()[0])
        elif name == "Anonymous":
            anonymous += int(value.split()[0])
    return {"anonymous": anonymous / 1e3, "weights": weights / 1e3}


def _timed(start: tuple[float, float]) -> Facts:
    wall, cpu = start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"s": perf_counter() - wall, "cpu_s": process_time() - cpu, "peak_gb": peak}


def eager(head: str, size: tuple[int, int], threads: int) -> Facts:
    """Run the network in torch over the whole capture."""
    import torch

    from edge_pipeline.models.base import build_model
    from edge_pipeline.raw.cfa import pack

    torch.set_num_threads(threads)
    model = build_model(MODEL, {**OPTIONS, "head": head}, seed=0)
    mosaic = mosaic_of(size)
    start = perf_counter(), process_time()
    with torch.no_grad():
        model(torch.from_numpy(pack(mosaic)[None]))
    return _timed(start)


def tiles(folder: Path, size: tuple[int, int], threads: int) -> Facts:
    """Predict filters and run all tiles; the picture is assembled in 8 bits."""
    artifact = Artifact.open(folder)
    mosaic = mosaic_of(size)
    picture = np.empty((3, *size), np.uint8)
    start = perf_counter(), process_time()
    with IspSession(artifact, threads=threads) as network:
        before = perf_counter()
        filters = network.filters(mosaic)
        predicted = perf_counter() - before
        left = resident_mb()["weights"] if sys.platform == "linux" else 0.0
        for core in network.cores(mosaic, filters):
            part = picture[:, core.top :, core.left :][:, : core.rgb.shape[1], : core.rgb.shape[2]]
            part[...] = core.rgb.clip(0, 1) * 255
    return {**_timed(start), "predict_s": predicted, "tiles": core.total, "weights_left": left}


def predictor(folder: Path, size: tuple[int, int], threads: int) -> Facts:
    """Return memory at the steps of one prediction."""
    artifact = Artifact.open(folder)
    seen = {"packed": view(mosaic_of(size))}
    with open_session(artifact, "predict_filters", threads=threads) as session:
        loaded = resident_mb()
        session.run(seen)
        used = resident_mb()
    del session
    facts = {"loaded": loaded, "predicted": used, "closed": resident_mb()}
    return {f"{step} {kind}": mb for step, each in facts.items() for kind, mb in each.items()}


def served(request: dict[str, Any]) -> Facts:
    """Return the facts of one run in a process of its own."""
    done = subprocess.run(  # noqa: S603 - this file
        [sys.executable, "-m", "benchmarks.large_network", "--serve", json.dumps(request)],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": str(request["threads"])},
    )
    facts: Facts = json.loads(done.stdout.splitlines()[-1])
    print(request, facts, file=sys.stderr)
    return facts


def serve(request: dict[str, Any]) -> Facts:
    """Do one run in this process."""
    size, threads = (request["size"][0], request["size"][1]), request["threads"]
    if request["what"] == "eager":
        return eager(request["head"], size, threads)
    run = tiles if request["what"] == "tiles" else predictor
    return run(Path(request["folder"]), size, threads)


def compiled(folder: Path, head: str) -> Path:
    """Compile the network unless the folder has it; return the artifact's folder."""
    from edge_pipeline.compiler.compile import CompileRequest, compile_model

    target = folder / head
    if not target.exists():
        options = {**OPTIONS, "head": head}
        compile_model(
            CompileRequest(
                MODEL,
                target,
                backend="onnx",
                options=options,
                filters="refolded",
                trimmed=head == "shuffle",
            )
        )
    return target


def measured(folder: Path, size: tuple[int, int], rounds: int, threads: int) -> None:
    """Measure all rows in turns, and print the tables."""
    requests: dict[str, dict[str, Any]] = {}
    common = {"size": size, "threads": threads}
    for head in ("shuffle", "published"):
        artifact = str(compiled(folder, head))
        requests[f"eager PyTorch, {head} head"] = {"what": "eager", "head": head, **common}
        name = "tiles" if head == "shuffle" else "one piece"
        requests[f"ONNX Runtime, {head} head, {name}"] = {
            "what": "tiles",
            "folder": artifact,
            **common,
        }
    runs: dict[str, list[Facts]] = {name: [] for name in requests}
    for _ in range(rounds):
        for name, request in requests.items():
            runs[name].append(served(request))
    print("| network | s | lowest to highest | CPU s | peak GB |\n|---|---|---|---|---|")
    for name, each in runs.items():
        seconds = [facts["s"] for facts in each]
        cpu = statistics.median(facts["cpu_s"] for facts in each)
        peak = max(facts["peak_gb"] for facts in each)
        print(
            f"| {name} | {statistics.median(seconds):.1f} | {min(seconds):.1f} to "
            f"{max(seconds):.1f} | {cpu:.1f} | {peak:.2f} |"
        )
    facts = served({"what": "predictor", "folder": str(folder / "shuffle"), **common})
    print("\n| predictor | private MB | weights MB |\n|---|---|---|")
    for step in ("loaded", "predicted", "closed"):
        print(f"| {step} | {facts[f'{step} anonymous']:.0f} | {facts[f'{step} weights']:.0f} |")


def main() -> None:
    """Measure, or do one run if asked by another process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=parse_size, default=(3072, 4096), help="height x width")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder of the artifacts")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        print(json.dumps(serve(json.loads(asked.serve))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        measured(asked.keep or Path(temporary), asked.size, asked.rounds, asked.threads)


if __name__ == "__main__":
    main()
