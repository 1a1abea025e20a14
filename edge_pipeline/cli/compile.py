"""`edge-pipeline compile`: compile a network into an artifact."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from time import perf_counter_ns
from typing import Annotated

import typer

from edge_pipeline.cli.options import (
    complete_backend,
    parse_fixed,
    parse_height_width,
    parse_inputs,
    parse_phi,
    parse_settings,
)
from edge_pipeline.compiler.source.naming import is_factory
from edge_pipeline.device_profile import DEFAULT_TARGET
from edge_pipeline.errors import InputError
from edge_pipeline.files import cache_folder
from edge_pipeline.optional import require
from edge_pipeline.registry import BACKENDS, EXTRAS
from edge_pipeline.report.artifact import artifact_facts, artifact_table, pass_lines
from edge_pipeline.report.terminal import console

__all__ = ["command"]


class Precisions(StrEnum):
    """Precisions of weights and arithmetic."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class Filters(StrEnum):
    """Deployment forms of the filters of convolutions."""

    DYNAMIC = "dynamic"
    FOLDED = "folded"
    SPLIT = "split"
    REFOLDED = "refolded"


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|CHECKPOINT|MODULE:FACTORY",
            help="Name of a registered network, a checkpoint (.safetensors), or your own network "
            "as package.module:factory, where factory returns a torch module.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the artifact.")],
    backend: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(BACKENDS.names())}.", autocompletion=complete_backend
        ),
    ],
    # An option takes one value; further files after `--calibration a.dng` arrive here.
    more: Annotated[list[Path] | None, typer.Argument(metavar="FILE", hidden=True)] = None,
    *,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="Option of a registered network."),
    ] = None,
    filters: Annotated[
        Filters,
        typer.Option(
            help="Deployment form of the filters. dynamic: predicted in the graph; folded: "
            "constants, predicted once on the calibration captures; split: two programs, "
            "predict_filters and apply_filters; refolded: predict_filters and the folded program, "
            "into which the filters of each capture are written in memory."
        ),
    ] = Filters.DYNAMIC,
    calibration: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE...",
            help="Captures for folded and refolded; captures or pictures for int8. By default "
            "the bundled ones.",
        ),
    ] = None,
    phi: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE[,VALUE...]",
            help="Short for --fix phi=VALUE. Several values, such as 0.2,0.35: a program for each "
            "in one file, for litert and executorch.",
        ),
    ] = None,
    respecialisable: Annotated[
        bool,
        typer.Option(
            "--respecialisable",
            help="Also store the weights for other values of the fixed number, for respecialise; "
            "on ONNX for all values of the trained range.",
        ),
    ] = False,
    streamed: Annotated[
        bool,
        typer.Option(
            "--streamed",
            help="Also write a predictor that sees a capture tile by tile, for develop --filters "
            "exact.",
        ),
    ] = False,
    trimmed: Annotated[
        bool,
        typer.Option(
            "--trimmed",
            help="Compute the last stage only for the pixels that tiles keep; for hyperconv_isp, "
            "and for hyperconv_unet with head=shuffle.",
        ),
    ] = False,
    precision: Annotated[
        Precisions,
        typer.Option(help="Precision of weights and arithmetic; inputs and outputs stay fp32."),
    ] = Precisions.FP32,
    validation: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Capture or picture on which the loss of folding or precision is measured; give "
            "the option once for each.",
        ),
    ] = None,
    allow_outside: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPERATOR",
            help="Operator that may stay outside the delegate; its share of time is measured.",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="HxW|NAME=SHAPE",
            help="Height and width of the network's input; for packed Bayer, half the mosaic's. "
            "Programs of ExecuTorch, Core ML and LiteRT accept only this size (by default the "
            "network's own); those of ONNX accept any size if the network does, and use this one "
            "for the reference input. For your own network: the shape of an input, such as "
            "image=1x3x512x512; give the option once for each.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of your own network: safetensors, .pt or .pth."),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Value of a parameter of the network's forward, which is then no longer an "
            "input; the weights that it determines become constants.",
        ),
    ] = None,
    describe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML file that describes your own network: its card, tensors and tiles.",
        ),
    ] = None,
    free_sizes: Annotated[
        bool,
        typer.Option("--free-sizes", help="Compile your own network for any height and width."),
    ] = False,
    target: Annotated[
        str,
        typer.Option(
            metavar="NAME|NAME.toml",
            help="Profile whose measured costs select the convolution algorithms: one in devices/, "
            "or one that `calibrate-device` wrote.",
        ),
    ] = DEFAULT_TARGET,
    tflite_runtime: Annotated[
        str | None,
        typer.Option(
            metavar="PYTHON|make",
            help="For litert: also check with tflite-runtime 2.14, which boards use, in the "
            "environment of this interpreter; make creates one from PyPI in the user's cache "
            "folder.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of random weights; 0 by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing artifact.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="List the changes that each pass made.")
    ] = False,
) -> None:
    """Compile a network into an artifact."""
    if more and not calibration:
        raise InputError(f"unexpected argument {more[0]}; give captures after --calibration")
    if backend not in BACKENDS:
        BACKENDS.load(backend)  # raises and lists the backends, before torch is required
    require("torch", EXTRAS.get(backend, backend), "compiling")
    from edge_pipeline.compiler.compile import CompileRequest, compile_model
    from edge_pipeline.compiler.source.description import read_description

    own = is_factory(source)
    values = parse_phi(phi)
    size = None if own else parse_height_width(inputs or [])
    request = CompileRequest(
        source=source,
        output=output,
        backend=backend,
        options=parse_settings(settings or []),
        filters=filters.value,
        respecialisable=respecialisable,
        streamed=streamed,
        trimmed=trimmed,
        precision=precision.value,
        validation=tuple(validation or ()),
        allowed=frozenset(allow_outside or ()),
        target=target,
        tflite_runtime=_board_python(tflite_runtime),
        calibration=(*(calibration or ()), *(more or ())),
        size=size,
        inputs=parse_inputs(inputs or []) if own else {},
        weights=weights,
        fixed=parse_fixed(fix or [], values[0] if len(values) == 1 else None),
        several={"phi": values} if len(values) > 1 else {},
        description=None if describe is None else read_description(describe),
        free_sizes=free_sizes,
        seed=seed,
        force=force,
    )
    start = perf_counter_ns()
    with console(stderr=True).status("starting") as status:
        artifact = compile_model(request, on_step=status.update)
    seconds = (perf_counter_ns() - start) / 1e9
    out = console()
    out.print(artifact_table(artifact))
    lines = [*artifact_facts(artifact.manifest)]
    if verbose:
        lines += pass_lines(artifact.manifest)
    for line in lines:
        out.print(line, markup=False, highlight=False)
    out.print(f"wrote {artifact.folder} in {seconds:.1f} s", markup=False, highlight=False)


def _board_python(asked: str | None) -> Path | None:
    """Return the interpreter that has tflite-runtime; for `make`, create its environment."""
    if asked != "make":
        return None if asked is None else Path(asked)
    from edge_pipeline.compiler.backends.litert.board import make_environment

    return make_environment(cache_folder("environments"))
