"""The trained network in every runtime, at a chosen phi and at phi = 0.5."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.interleaved import RUNTIMES
from edge_pipeline.cli.main import main as edge_pipeline
from edge_pipeline.data.labelled import load_labelled
from edge_pipeline.errors import JobError
from edge_pipeline.overlap import confusion, overlap_of
from edge_pipeline.record import Record, read_records
from edge_pipeline.segmentation.pictures import picture_of_array
from edge_pipeline.segmentation.segmenter import Segmenter

__all__ = ["Row", "deploy", "deployed_table"]


@dataclass(frozen=True)
class Row:
    """The measurements of an artifact.

    Attributes:
        runtime: Name of the runtime.
        phi: Rescaling factor.
        dice: Mean Dice score of the artifact on the test split.
        record: Latency and memory.
        bytes: Size of the artifact's program files.
    """

    runtime: str
    phi: float
    dice: float
    record: Record
    bytes: int


def deploy(checkpoint: Path, dataset: str, phis: Iterable[float], folder: Path) -> list[Row]:
    """Compile a checkpoint for every runtime and phi, and measure all artifacts in rounds.

    Args:
        checkpoint: Checkpoint of a network for every phi.
        dataset: Registered labelled data set.
        phis: Values of phi.
        folder: Folder of the artifacts; those that exist are used.

    Raises:
        JobError: If a command fails.
    """
    cases = [(backend, runtime, phi) for backend, runtime in RUNTIMES.items() for phi in phis]
    artifacts = []
    for backend, _, phi in cases:
        artifact = folder / f"{backend}-{phi:g}"
        if not artifact.exists():
            words = ["compile", checkpoint, "--backend", backend, "--phi", f"{phi:g}"]
            _run(*words, "-o", artifact)
        artifacts.append(artifact)
    measured = folder / "records.jsonl"
    measured.unlink(missing_ok=True)
    _run("bench", *artifacts, "--threads", "1", "--runs", "60", "--records", measured)
    return [
        Row(runtime, phi, dice_of(artifact, dataset), record, _bytes(artifact))
        for (_, runtime, phi), artifact, record in zip(
            cases, artifacts, read_records(measured), strict=True
        )
    ]


def _run(*words: object) -> None:
    code = edge_pipeline([str(word) for word in words])
    if code:
        raise JobError(f"edge-pipeline {words[0]} failed with code {code}")


def _bytes(artifact: Path) -> int:
    programs = [path for path in artifact.glob("forward*") if "graph" not in path.name]
    return sum(path.stat().st_size for path in programs if "reference" not in path.name)


def dice_of(artifact: Path, dataset: str) -> float:
    """Return the mean Dice score of an artifact on the test split, as `segment` runs it."""
    data = load_labelled(dataset, "test", {})
    counts = []
    with Segmenter(artifact, threads=1) as segmenter:
        for index in range(len(data)):
            picture, mask = data.read(index)
            found = segmenter.segment(picture_of_array(picture.transpose(1, 2, 0)))
            counts.append(confusion(found.labels, mask, len(data.labels)))
    return overlap_of(counts, background=data.background).dice


def deployed_table(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| runtime | phi | Dice | median ms | min to p90 | MMAC | program MB | peak memory MB |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        latency, memory = row.record.latency, row.record.memory
        if latency is None or memory is None:
            raise JobError(f"{row.record.artifact} was not timed")
        yield (
            f"| {row.runtime} | {row.phi:g} | {row.dice:.4f} | {latency.median_ms:.2f} | "
            f"{latency.min_ms:.2f} to {latency.p90_ms:.2f} | {(row.record.macs or 0) / 1e6:.0f} | "
            f"{row.bytes / 1e6:.2f} | {memory.peak_bytes / 1e6:.0f} |"
        )
