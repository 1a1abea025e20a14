"""Compiled programs of well-known networks, compared with each runtime's plain export of them.

    python -m benchmarks.networks [--only NAME,...] [--backends B,...] [--runs 30] [--check]

The networks are those of tests/networks. For each network and runtime, the table shows whether the
whole program runs in the delegate, the largest error against eager relative to the largest value,
and the time of the plain export divided by the time of the compiled program. All programs of a
network take turns, each in its own process on one pinned thread. The ratio is the median over
rounds, with its tenth and ninetieth percentile; 2 means twice as fast as the plain export. With
--check the script fails if a ratio is below 0.98.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleaved import RUNTIMES, Served
from benchmarks.plain import exported_plainly, program_worker
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.harness.machine import (
    allowed_cpus,
    busy_percent,
    choose_cpus,
    cores_of,
    cpu_name,
)
from edge_pipeline.harness.protocol import MIN_RUNS, Plan, measure
from edge_pipeline.runtime.base import open_session
from tests.networks.table import NETWORKS, Known
from tests.networks.weights import drawn

LEAST = 0.98
SEED = 100


@dataclass
class Row:
    """Results of one network on one runtime.

    Attributes:
        backend: Name of the backend in the registry.
        artifact: The compiled artifact; None if the compiler rejected the network.
        plain: Description of the plain export; None if the exporter failed.
        error: Largest error against eager, relative to the largest value.
        error_message: Error message of the compiler or of the exporter.
        compiled_ms: Times of the compiled program in milliseconds, one per round.
        plain_ms: Times of the plain export in milliseconds, one per round.
    """

    backend: str
    artifact: Artifact | None = None
    plain: ProgramSpec | None = None
    error: float = 0.0
    error_message: str = ""
    compiled_ms: tuple[float, ...] = ()
    plain_ms: tuple[float, ...] = ()

    def ratios(self) -> Any:
        """Return the tenth percentile, median and ninetieth percentile of plain over compiled."""
        each = np.array(self.plain_ms) / np.array(self.compiled_ms)
        return np.percentile(each, (10, 50, 90))

    def cells(self) -> str:
        """Return the table cells: delegated, error, milliseconds, ratio."""
        if self.artifact is None:
            return f"rejected: {self.error_message} | | | "
        delegation = self.artifact.manifest.programs[0].delegation
        inside, outside = sum(delegation.delegated.values()), sum(delegation.outside.values())
        share = "all" if not outside else f"{inside} of {inside + outside}"
        if not self.compiled_ms:
            return f"{share} | {self.error:.1e} | | "
        time = f"{float(np.median(self.compiled_ms)):.2f}"
        if not self.plain_ms:
            return f"{share} | {self.error:.1e} | {time} | plain export fails: {self.error_message}"
        low, middle, high = self.ratios()
        return f"{share} | {self.error:.1e} | {time} | {middle:.2f} ({low:.2f} to {high:.2f})"


def prepared(
    name: str,
    known: Known,
    backends: Sequence[str],
    folder: Path,
    precision: str,
    *,
    with_plain: bool,
) -> list[Row]:
    """Compile a network for every runtime; return rows with the errors against eager.

    If `with_plain`, the network is also exported plainly, to be timed.
    """
    import torch

    import edge_pipeline

    rows = []
    for backend in backends:
        print(f"compiling {name} for {backend}", file=sys.stderr)
        row, place = Row(backend), folder / f"{name}-{backend}-{precision}"
        rows.append(row)
        network = known.build()
        example = {key: drawn(shape, i) for i, (key, shape) in enumerate(known.timed.items())}
        try:
            kept = (place / "manifest.json").exists()
            row.artifact = (
                Artifact.open(place)
                if kept
                else edge_pipeline.compile(
                    network, example, place, backend=backend, precision=precision
                )
            )
        except EdgePipelineError as error:
            row.error_message = str(error).splitlines()[0]
            continue
        row.error = _error(row.artifact, network, known)
        if not with_plain:
            continue
        spec = row.artifact.manifest.programs[0]
        plain = folder / f"{name}-{backend}-plain"
        plain.mkdir(exist_ok=True)
        try:
            with torch.no_grad():
                exported = exported_plainly(backend, network, example, spec, plain)
            _try(program_worker(backend, plain, exported, min(allowed_cpus())))
            row.plain = exported
        except Exception as error:  # noqa: BLE001 - exporters raise any kind
            row.error_message = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:60]}"
    return rows


def _try(worker: Served) -> None:
    """Run a plain export once; some crash their process.

    Raises:
        RuntimeError: If the process ends.
    """
    try:
        worker.load()
        worker.run(1)
    finally:
        worker.close()


def _error(artifact: Artifact, network: Any, known: Known) -> float:
    import torch

    program = artifact.manifest.programs[0]
    inputs = {key: drawn(shape, SEED + i) for i, (key, shape) in enumerate(known.timed.items())}
    with torch.no_grad():
        expected = network(**inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    with open_session(artifact, program.name, threads=1) as session:
        found = session.run({key: value.numpy() for key, value in inputs.items()})
    errors = [
        float(np.abs(found[t.name] - e.numpy()).max() / np.abs(e.numpy()).max())
        for t, e in zip(program.outputs, expected, strict=True)
    ]
    return max(errors)


def timed(name: str, rows: Sequence[Row], folder: Path, plan: Plan, cpu: int) -> None:
    """Measure all programs of a network in turns, and store the samples in `rows`."""
    workers: list[Served] = []
    slots: list[tuple[Row, str]] = []
    try:
        for row in rows:
            if row.artifact is not None:
                spec = row.artifact.manifest.programs[0]
                workers.append(program_worker(row.backend, row.artifact.folder, spec, cpu))
                slots.append((row, "compiled_ms"))
            if row.plain is not None:
                place = folder / f"{name}-{row.backend}-plain"
                workers.append(program_worker(row.backend, place, row.plain, cpu))
                slots.append((row, "plain_ms"))
        for (row, which), timing in zip(slots, measure(workers, plan), strict=True):
            setattr(row, which, timing.samples_ms)
    finally:
        for worker in workers:
            worker.close()


def main() -> int:
    """Parse the command line, measure, and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="names of networks, separated by commas")
    parser.add_argument("--backends", default=",".join(RUNTIMES))
    parser.add_argument("--runs", type=int, default=MIN_RUNS, help="0 measures no times")
    parser.add_argument("--precision", default="fp32", help="fp32, fp16 or int8; plain is fp32")
    parser.add_argument("--keep", type=Path, help="folder of artifacts to reuse")
    parser.add_argument("--check", action="store_true", help="fail if a network is slower")
    arguments = parser.parse_args()
    backends = arguments.backends.split(",")
    names = arguments.only.split(",") if arguments.only else list(NETWORKS)
    allowed = allowed_cpus()
    cpu = choose_cpus(busy_percent(allowed), cores_of(allowed), 1)[0]
    print(f"{cpu_name()}, 1 thread on processor {cpu}, {arguments.runs} rounds\n")
    print("| network | runtime | delegated | error | ms | speed over plain export |")
    print("|---|---|---|---|---|---|")
    slow = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        # Without times, each network's rows are printed when it is compiled.
        groups = [names] if arguments.runs else [[name] for name in names]
        for group in groups:
            ready = {
                name: prepared(
                    name,
                    NETWORKS[name],
                    backends,
                    folder,
                    arguments.precision,
                    with_plain=arguments.runs > 0,
                )
                for name in group
            }
            for name, rows in ready.items():
                if arguments.runs:
                    timed(name, rows, folder, Plan(runs=arguments.runs, seconds=0), cpu)
                for row in rows:
                    print(f"| {name} | {RUNTIMES[row.backend]} | {row.cells()} |", flush=True)
                    if row.compiled_ms and row.plain_ms and row.ratios()[1] < LEAST:
                        slow.append(f"{name} on {RUNTIMES[row.backend]}")
    if slow:
        print(f"\nslower than plain: {', '.join(slow)}")
    return int(bool(slow) and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
