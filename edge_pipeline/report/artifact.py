"""Description of an artifact for a terminal: its programs, checks, losses and notes."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from edge_pipeline.artifact.manifest import Manifest
from edge_pipeline.artifact.provenance import Loss
from edge_pipeline.artifact.store import Artifact

__all__ = ["artifact_facts", "artifact_table", "pass_lines"]

_CHECKED = {
    "verified": "each program ran in its own runtime and agrees with eager",
    "translation": "another program evaluated the file and agrees with eager; its own runtime has "
    "not run it",
    "not_run": "no runtime here could run it, or its reference output is not eager's",
}
_UNITS = {"psnr_db": " dB PSNR", "psnr_to_before_db": " dB", "dice": " Dice", "agreement": ""}


def artifact_table(artifact: Artifact) -> Table:
    """Return a table with one row per program: its delegate, operators, cost and size."""
    table = Table()
    table.add_column("program")
    table.add_column("runs in")
    for heading in ("operators inside", "outside", "GMAC", "size"):
        table.add_column(heading, justify="right")
    for number, program in enumerate(artifact.manifest.programs):
        shared = artifact.manifest.has_several and number > 0
        table.add_row(
            program.name,
            program.delegation.delegate,
            str(sum(program.delegation.delegated.values())),
            str(sum(program.delegation.outside.values())),
            f"{program.macs / 1e9:.3f}",
            "same file" if shared else f"{artifact.program_bytes(program) / 1024:.0f} KiB",
        )
    return table


def artifact_facts(manifest: Manifest) -> Iterator[str]:
    """Yield lines on the check, the operators outside the delegate, the losses and the notes."""
    yield f"{manifest.checked}: {_CHECKED[manifest.checked]}"
    for program in manifest.programs:
        share = program.delegation.outside_share
        if share is not None:
            names = ", ".join(program.delegation.outside)
            yield (
                f"{program.name}: operators outside the delegate ({names}) use {share:.0%} of a "
                "run's time"
            )
    yield from map(_loss, manifest.losses)
    yield from manifest.notes


def pass_lines(manifest: Manifest) -> Iterator[str]:
    """Yield lines on the compiler passes and their notes."""
    for program in manifest.programs:
        for name, notes in program.passes.items():
            yield f"{program.name}: {name}"
            yield from (f"  {note}" for note in notes)


def _loss(loss: Loss) -> str:
    cause = loss.cause if loss.cause == "folding" else "the precision"
    unit = _UNITS[loss.metric]
    if loss.before is None or loss.loss is None:
        return f"{cause}: {loss.after:.2f}{unit} relative to the output of the original network"
    return (
        f"{cause} loses {loss.loss:.3f}{unit or ' of pixels'}: "
        f"{loss.before:.3f} before, {loss.after:.3f} after"
    )
