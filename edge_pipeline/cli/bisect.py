"""`edge-pipeline bisect`: find where a compiled network begins to differ from the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_pipeline.cli.compile import Filters, Precisions
from edge_pipeline.cli.options import (
    complete_backend,
    parse_fixed,
    parse_height_width,
    parse_inputs,
    parse_settings,
)
from edge_pipeline.compiler.source.naming import is_factory
from edge_pipeline.device_profile import DEFAULT_TARGET
from edge_pipeline.errors import InputError
from edge_pipeline.optional import require
from edge_pipeline.registry import BACKENDS, EXTRAS
from edge_pipeline.report.terminal import console

if TYPE_CHECKING:
    from edge_pipeline.compiler.bisect.search import Finding

__all__ = ["command"]

_FOUND = 1


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|CHECKPOINT|MODULE:FACTORY",
            help="Name of a registered network, a checkpoint (.safetensors), or your own network "
            "as package.module:factory.",
        ),
    ],
    backend: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(BACKENDS.names())}.", autocompletion=complete_backend
        ),
    ],
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Largest relative error; by default 1e-4 for passes, verify's for programs."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="Option of a registered network."),
    ] = None,
    filters: Annotated[Filters, typer.Option(help="As for compile.")] = Filters.DYNAMIC,
    fix: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="As for compile.")
    ] = None,
    phi: Annotated[
        float | None, typer.Option(metavar="VALUE", help="Short for --fix phi=VALUE.")
    ] = None,
    precision: Annotated[Precisions, typer.Option(help="As for compile.")] = Precisions.FP32,
    calibration: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="As for compile, once for each file."),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="HxW|NAME=SHAPE", help="As for compile; a small input is faster."
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="As for compile.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of random weights; 0 by default.")
    ] = None,
    allow_outside: Annotated[
        list[str] | None, typer.Option(metavar="OPERATOR", help="As for compile.")
    ] = None,
    target: Annotated[str, typer.Option(help="As for compile.")] = DEFAULT_TARGET,
) -> None:
    """Find the first pass, and the first operator, whose result is out of tolerance.

    Passes are checked one by one. If all are right, the program is halved again and again, and
    each part is compiled and run.

    Exit code: 0 if nothing is out of tolerance, 1 if an operator was found or processing failed,
    2 if an input is invalid.
    """
    if tolerance is not None and not 0 < tolerance < 1:
        raise InputError(
            f"--tolerance {tolerance:g} is not a relative error; give a number between 0 and 1"
        )
    if backend not in BACKENDS:
        BACKENDS.load(backend)  # raises and lists the backends, before torch is required
    require("torch", EXTRAS.get(backend, backend), "compiling")
    from edge_pipeline.compiler.bisect.source import bisect_source
    from edge_pipeline.compiler.request import CompileRequest

    own = is_factory(source)
    request = CompileRequest(
        source=source,
        output=Path(),
        backend=backend,
        options=parse_settings(settings or []),
        filters=filters.value,
        fixed=parse_fixed(fix or [], phi),
        precision=precision.value,
        calibration=tuple(calibration or ()),
        size=None if own else parse_height_width(inputs or []),
        inputs=parse_inputs(inputs or []) if own else {},
        weights=weights,
        seed=seed,
        allowed=frozenset(allow_outside or ()),
        target=target,
    )
    out, found = console(), False
    with console(stderr=True).status("starting") as status:
        for name, finding in bisect_source(request, tolerance=tolerance, on_step=status.update):
            found = found or finding is not None
            out.print(_sentence(name, backend, finding), markup=False)
    if found:
        raise typer.Exit(_FOUND)


def _sentence(program: str, backend: str, finding: Finding | None) -> str:
    if finding is None:
        return f"{program}: every pass is within tolerance, and so is {backend}"
    step = f"the pass {finding.step}" if finding.stage == "pass" else f"{backend} and its runtime"
    if finding.source is None:
        place = "an intermediate value that the source program does not have"
    else:
        place = f"in the place of {finding.source} of the source program"
    text = (
        f"{program}: {step}: the first operator out of tolerance is {finding.operator} "
        f"({finding.node}) in {finding.layer}, {place}: {finding.complaint}"
    )
    if finding.before:
        text += f"; operators before it that could not be run alone: {', '.join(finding.before)}"
    return text
