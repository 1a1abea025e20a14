"""`edge-pipeline inspect`: show the parameters and cost of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.options import (
    Value,
    parse_fixed,
    parse_inputs,
    parse_settings,
    parse_size,
)
from edge_pipeline.compiler.source.naming import is_factory
from edge_pipeline.errors import InputError
from edge_pipeline.harness.cost import recorded_cost
from edge_pipeline.optional import require
from edge_pipeline.record import CostRecord
from edge_pipeline.registry import MODELS
from edge_pipeline.report.terminal import console, cost_table, findings_table

__all__ = ["command"]


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|CHECKPOINT|ARTIFACT|MODULE:FACTORY",
            help="Name of a registered network, a checkpoint (.safetensors), an artifact's folder, "
            "or your own network as package.module:factory.",
            show_default=False,
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="Option of a registered network."),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="CxHxW|NAME=SHAPE",
            help="Shape of the input; for packed Bayer, a sensor of 4096x3072 (12.6 Mpix) is "
            "4x1536x2048. For your own network: the shape of an input, such as "
            "image=1x3x512x512; give the option once for each.",
        ),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Value of a parameter of the network's forward."),
    ] = None,
    phi: Annotated[
        float | None, typer.Option(metavar="VALUE", help="Short for --fix phi=VALUE.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Show the parameters, MACs and FLOPs of a network, in total and per layer.

    Convolutions and matrix products are counted. Nothing is computed or allocated, so the input
    can have any size; by default it has the network's own. For your own network, the command shows
    the computed weights and the forms in which it can be compiled.
    """
    fixed = parse_fixed(fix or [], phi)
    if is_factory(source):
        if settings or as_json:
            option = "-s" if settings else "--json"
            raise InputError(f"{option} does not apply to {source}, your own network; leave it out")
        _show_own(source, inputs or [], fixed)
        return
    if len(inputs or []) > 1:
        raise InputError("only package.module:factory accepts more than one --input; give one")
    size = parse_size(inputs[0], "CxHxW") if inputs else None
    cost = _cost(source, parse_settings(settings or []), _Case(size, fixed))
    if as_json:
        typer.echo(cost.json_text(), nl=False)
    else:
        console().print(cost_table(cost))


def _show_own(source: str, inputs: list[str], fixed: Mapping[str, Value]) -> None:
    """Print the computed weights and the forms of a network from the user's own code."""
    require("torch", "train", "inspecting a network")
    from edge_pipeline.compiler.source.findings import findings_of
    from edge_pipeline.compiler.source.foreign import open_factory

    network = open_factory(source, parse_inputs(inputs), fixed=fixed)
    found = findings_of(network)
    rows = [(w.layer, w.operand, w.kind, str(w.node.target)) for w in found.weights]
    out = console()
    out.print(findings_table(rows))
    out.print(f"{found.macs / 1e6:.4g} MMAC in total")
    if found.predictor_macs is not None and found.path_macs is not None:
        out.print(
            f"{found.predictor_macs / 1e6:.4g} MMAC predict {len(found.filters)} tensors, "
            f"{found.path_macs / 1e6:.4g} MMAC use them"
        )
    out.print(f"forms: {', '.join(found.forms)}")


@dataclass(frozen=True)
class _Case:
    """The input size, None for the default, and the fixed values for which to count the cost."""

    size: tuple[int, ...] | None
    fixed: Mapping[str, Value]


def _cost(source: str, options: dict[str, str], case: _Case) -> CostRecord:
    path = Path(source)
    if source in MODELS:
        return _cost_of_name(source, options, case)
    if options:
        raise InputError(
            f"{source} has its own options; use -s only with {', '.join(MODELS.names())}"
        )
    if path.is_dir():
        return _cost_of_artifact(path, case)
    if path.is_file():
        require("torch", "train", "inspecting a checkpoint")
        from edge_pipeline.models.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(path)
        return _cost_of_name(checkpoint.model, checkpoint.options, case)
    raise InputError(
        f"{source} is neither a network ({', '.join(MODELS.names())}), nor a checkpoint, nor an "
        "artifact's folder"
    )


def _cost_of_name(
    name: str, options: Mapping[str, str | int | float | bool], case: _Case
) -> CostRecord:
    require("torch", "train", "inspecting a network")
    from edge_pipeline.models.cost import cost_of_name

    return cost_of_name(name, options, case.size, case.fixed)


def _cost_of_artifact(path: Path, case: _Case) -> CostRecord:
    """Return the artifact's recorded cost; count it if absent or for another size or value."""
    artifact = Artifact.open(path)
    manifest, recorded = artifact.manifest, recorded_cost(artifact)
    fixed = {**manifest.fixed, **case.fixed}
    if recorded is not None and case.size in (None, recorded.input) and fixed == manifest.fixed:
        return recorded
    first = manifest.programs[0]
    reference, _ = artifact.reference(first.name)
    size = case.size or reference[first.inputs[0].name].shape[1:]
    cost = _cost_of_name(manifest.source.model, manifest.source.options, _Case(size, fixed))
    return cost.on_path() if manifest.filters in ("folded", "specialised") else cost
