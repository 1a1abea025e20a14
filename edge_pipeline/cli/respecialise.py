"""`edge-pipeline respecialise`: copy a compiled artifact with other weights."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from time import perf_counter_ns
from typing import Annotated

import typer

from edge_pipeline.artifact.schema import Value
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.options import parse_fixed
from edge_pipeline.proof.respecialise import read_filters, respecialise
from edge_pipeline.report.terminal import console

__all__ = ["command"]


class Reference(StrEnum):
    """Sources of the copy's reference output."""

    OWN = "own"
    EAGER = "eager"
    NONE = "none"


def command(
    artifact: Annotated[
        Path, typer.Argument(metavar="ARTIFACT", help="A folded or specialised artifact.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the copy.")],
    filters: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="All exchangeable weights by name (.safetensors)."),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="New value of a fixed input; the artifact must have been compiled with "
            "--respecialisable.",
        ),
    ] = None,
    phi: Annotated[
        float | None, typer.Option(metavar="VALUE", help="Short for --fix phi=VALUE.")
    ] = None,
    reference: Annotated[
        Reference,
        typer.Option(
            help="Source of the reference output. own: the copy's program, if its runtime is "
            "installed; eager: the network in torch, with which the program is compared; none: "
            "there is no reference output, and nothing is run."
        ),
    ] = Reference.OWN,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing artifact.")] = False,
) -> None:
    """Write a copy of an artifact with other filters, or for another value of a fixed input.

    No compiler is required: the new weights overwrite the old ones in copies of the files.
    """
    opened = Artifact.open(artifact)
    start = perf_counter_ns()
    values = None if filters is None else read_filters(filters)
    fixed = parse_fixed(fix or [], phi)
    copy = respecialise(
        opened, output, filters=values, fixed=fixed, reference=reference.value, force=force
    )
    spent_ms = (perf_counter_ns() - start) / 1e6
    for line in (_changes(opened, copy), f"wrote {copy.folder} in {spent_ms:.1f} ms"):
        console().print(line, markup=False, highlight=False)


def _changes(old: Artifact, new: Artifact) -> str:
    """Return a sentence about the difference between two artifacts of one program."""
    before, after = old.manifest, new.manifest
    values = _values(before.fixed, after.fixed)
    changed = after.programs
    if after.has_several:
        pairs = list(zip(before.programs, after.programs, strict=True))
        changed = tuple(new for old, new in pairs if old.fixed != new.fixed)
        values = "".join(
            f"{new.name}: {_values(old.fixed, new.fixed)}" for old, new in pairs if new in changed
        )
    weights = len({(p.name, c.name) for p in changed for c in p.constants})
    sizes = sum(len(p.sizes.numbers) for p in after.programs if p.sizes is not None)
    replaced = f"replaced {weights} weight{'s' if weights != 1 else ''}"
    macs = [sum(program.macs for program in one.programs) for one in (before, after)]
    if macs[0] != macs[1]:
        replaced += f" and {sizes} map sizes; {macs[0]} -> {macs[1]} multiply-accumulates"
    return f"{values}{replaced}"


def _values(before: Mapping[str, Value], after: Mapping[str, Value]) -> str:
    """Return the fixed values that changed, as the beginning of a sentence."""
    return "".join(
        f"{name} {before[name]} -> {value}: "
        for name, value in after.items()
        if before.get(name) != value
    )
