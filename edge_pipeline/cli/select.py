"""`edge-pipeline select`: choose phi under limits from the records of `pareto`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_pipeline.cli.amounts import COUNT, SIZE, TIME_MS, parse_amount
from edge_pipeline.cli.options import complete_backend
from edge_pipeline.errors import InputError
from edge_pipeline.files import atomic_file
from edge_pipeline.report.terminal import console
from edge_pipeline.select.choice import Limits, Metric, choose, compile_command
from edge_pipeline.select.front import Variant
from edge_pipeline.select.record import Sweep, read_sweep
from edge_pipeline.select.tables import answer_figures, answer_lines

__all__ = ["command"]


class Metrics(StrEnum):
    """Figures to choose by: scores are maximised, costs are minimised."""

    DICE = "dice"
    IOU = "iou"
    MACS = "macs"
    MEMORY = "memory"
    SIZE = "size"
    LATENCY = "latency"


def command(
    records: Annotated[
        Path, typer.Argument(metavar="RECORDS", help="Folder or file that pareto wrote.")
    ],
    metric: Annotated[
        Metrics | None,
        typer.Option(
            help="Figure to choose by: the highest score or the least cost. By default macs if a "
            "lowest score is given, otherwise dice."
        ),
    ] = None,
    min_dice: Annotated[float | None, typer.Option(help="Lowest mean Dice score.")] = None,
    min_iou: Annotated[float | None, typer.Option(help="Lowest mIoU.")] = None,
    max_latency: Annotated[
        str | None, typer.Option(metavar="TIME", help="Highest median latency, as in 20ms.")
    ] = None,
    max_macs: Annotated[
        str | None, typer.Option(metavar="COUNT", help="Most MACs, as in 0.5G.")
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Most memory of activations, as in 64MB.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Largest programs, as in 1MB or 900KiB.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device of the latencies; by default the only one.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="Backend of the artifacts; by default every measured one, and onnx in the command "
            "for a phi without measurement.",
            autocompletion=complete_backend,
        ),
    ] = None,
    json_to: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="FILE|-", help="Also write the answer as JSON; - is stdout."
        ),
    ] = None,
) -> None:
    """Choose phi under limits, and print its figures and the command that compiles it.

    Only values of phi that pareto evaluated are candidates; nothing is interpolated.
    """
    limits = Limits(
        min_dice=min_dice,
        min_iou=min_iou,
        max_latency=_amount("--max-latency", max_latency, TIME_MS),
        max_macs=_amount("--max-macs", max_macs, COUNT),
        max_memory=_amount("--max-memory", max_memory, SIZE),
        max_size=_amount("--max-size", max_size, SIZE),
    )
    if not limits.given() and metric is None:
        raise InputError("nothing to choose by; give a limit such as --min-dice 0.9, or --metric")
    default: Metric = "dice" if min_dice is None and min_iou is None else "macs"
    wanted: Metric = default if metric is None else metric.value
    sweep = read_sweep(records)
    variant = choose(sweep, limits, wanted, device=device, backend=backend)
    words = compile_command(sweep, variant, backend or "onnx")
    _show(sweep, variant, words, json_to)


def _amount(option: str, text: str | None, units: dict[str, float]) -> float | None:
    return None if text is None else parse_amount(option, text, units)


def _show(sweep: Sweep, variant: Variant, words: str, json_to: str | None) -> None:
    """Print the answer, on stderr if JSON goes to stdout; then write the JSON."""
    out = console(stderr=json_to == "-")
    for line in (*answer_lines(variant, len(sweep.points)), words):
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    answer: dict[str, Any] = {
        "schema_version": 1,
        "checkpoint": sweep.setting.checkpoint,
        "checkpoint_sha256": sweep.setting.checkpoint_sha256,
        **answer_figures(variant),
        "command": words,
    }
    text = json.dumps(answer, indent=2) + "\n"
    if json_to == "-":
        typer.echo(text, nl=False)
    elif json_to is not None:
        with atomic_file(Path(json_to)) as temporary:
            temporary.write_text(text, encoding="utf-8")
