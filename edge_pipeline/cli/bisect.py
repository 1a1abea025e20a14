"""`edge-pipeline bisect`: where does a compiled network begin to differ from the network?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_pipeline.cli.compile import Filters, Precisions
from edge_pipeline.cli.options import (
    parse_fixed,
    parse_height_width,
    parse_inputs,
    parse_settings,
)
from edge_pipeline.compiler.source.naming import is_factory
from edge_pipeline.device_profile import DEFAULT_DEVICE
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
            help="A registered network's name, a checkpoint (.safetensors), or your own network as "
            "package.module:factory.",
        ),
    ],
    backend: Annotated[str, typer.Option(help=f"One of {', '.join(BACKENDS.names())}.")],
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Largest relative error; if left out, what `verify` allows for the precision."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="An option of a registered network."),
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
            "--input", metavar="HxW|NAME=SHAPE", help="As for compile; small ones are faster."
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="As for compile.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of fresh weights; 0 if left out.")
    ] = None,
    allow_outside: Annotated[
        list[str] | None, typer.Option(metavar="OPERATOR", help="As for compile.")
    ] = None,
    device: Annotated[str, typer.Option(help="As for compile.")] = DEFAULT_DEVICE,
) -> None:
    """Find the first pass, then the first operator, where a result leaves tolerance.

    Passes are checked one by one; then the program is halved again and again, and the part is
    compiled and run.

    Exit code 0: nothing leaves tolerance. 1: found, or the work failed. 2: bad input.
    """
    if tolerance is not None and not 0 < tolerance < 1:
        raise InputError(f"--tolerance {tolerance:g} is no relative error; give one from 0 to 1")
    if backend not in BACKENDS:
        BACKENDS.load(backend)  # raises, listing what there is, before torch is asked for
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
        device=device,
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
        return f"{program}: no pass leaves tolerance, and neither does {backend}"
    step = f"the pass {finding.step}" if finding.stage == "pass" else f"{backend} and its runtime"
    if finding.source is None:
        place = "a step inside what became of it"
    else:
        place = f"in the place of {finding.source} of the source program"
    text = (
        f"{program}: {step}: the first operator out of tolerance is {finding.operator} "
        f"({finding.node}) in {finding.layer}, {place}: {finding.complaint}"
    )
    if finding.before:
        text += f"; these before it could not be tried alone: {', '.join(finding.before)}"
    return text
