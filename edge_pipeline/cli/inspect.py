"""`edge-pipeline inspect`: parameters and cost of a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.options import parse_settings, parse_size
from edge_pipeline.errors import InputError
from edge_pipeline.harness.cost import recorded_cost
from edge_pipeline.optional import require
from edge_pipeline.record import CostRecord
from edge_pipeline.registry import MODELS
from edge_pipeline.report.terminal import console, cost_table

__all__ = ["command"]

_SIDE = 256


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|CHECKPOINT|ARTIFACT",
            help="A registered network, a .safetensors file or an artifact's folder.",
            show_default=False,
        ),
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Network option.")
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="CxHxW",
            help="Packed input; a sensor of 4096x3072 (12.6 Mpix) is 4x1536x2048.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Show the parameters, MACs and FLOPs of a network, in all and per layer.

    Convolutions and matrix products are counted. Nothing is computed or allocated, so any size
    will do; 256x256 if none is given.
    """
    size = None if input_size is None else parse_size(input_size, "CxHxW")
    cost = _cost(source, parse_settings(settings or []), size)
    if as_json:
        typer.echo(cost.json_text(), nl=False)
    else:
        console().print(cost_table(cost))


def _cost(source: str, options: dict[str, str], size: tuple[int, ...] | None) -> CostRecord:
    path = Path(source)
    if source in MODELS:
        return _cost_of_name(source, options, size)
    if options:
        raise InputError(
            f"{source} has its options; -s is for the names {', '.join(MODELS.names())}"
        )
    if path.is_dir():
        return _cost_of_artifact(path, size)
    if path.is_file():
        require("torch", "train", "inspecting a checkpoint")
        from edge_pipeline.models.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(path)
        return _cost_of_name(checkpoint.model, checkpoint.options, size)
    raise InputError(
        f"{source} is neither a network ({', '.join(MODELS.names())}), nor a checkpoint, nor an "
        "artifact's folder"
    )


def _cost_of_name(
    name: str, options: Mapping[str, str | int | float | bool], size: tuple[int, ...] | None
) -> CostRecord:
    require("torch", "train", "inspecting a network")
    from edge_pipeline.models.base import options_of
    from edge_pipeline.models.cost import cost_of_name

    complete = options_of(name, options)
    return cost_of_name(name, complete, size or (complete.get("in_channels", 3), _SIDE, _SIDE))


def _cost_of_artifact(path: Path, size: tuple[int, ...] | None) -> CostRecord:
    """As recorded when it was compiled; counted anew for another size, or where nothing is."""
    artifact = Artifact.open(path)
    recorded = recorded_cost(artifact)
    if recorded is not None and size in (None, recorded.input):
        return recorded
    program = artifact.manifest.programs[0].name
    reference, _ = artifact.reference(program)
    source = artifact.manifest.source
    cost = _cost_of_name(source.model, source.options, size or reference["packed"].shape[1:])
    if artifact.manifest.filters != "folded":
        return cost
    return CostRecord.build(
        cost.path_only(), model=cost.model, options=cost.options, input=cost.input
    )
