"""`edge-pipeline verify`: does an artifact give here what eager gave when it was made?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.files import atomic_file
from edge_pipeline.runtime.verify import VerifyReport, verify_artifact

__all__ = ["command"]

_OUT_OF_TOLERANCE = 1


def command(
    artifacts: Annotated[
        list[Path], typer.Argument(metavar="ARTIFACT...", help="Folders that compile wrote.")
    ],
    threads: Annotated[int, typer.Option(min=1, help="Threads that the runtime may use.")] = 1,
    json_to: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE|-", help="Write the figures as JSON; - is stdout."),
    ] = None,
) -> None:
    """Run artifacts on their reference inputs and compare with what eager gave.

    Exit code 0: all within tolerance. 1: one is not, or could not run. 2: one is damaged.
    """
    entries: list[dict[str, Any]] = []
    worst = 0
    for folder in artifacts:
        try:
            report = verify_artifact(Artifact.open(folder), threads=threads)
        except EdgePipelineError as error:
            # One bad artifact does not keep the others from being checked.
            typer.echo(f"error: {error}", err=True)
            entries.append({"artifact": str(folder), "passed": False, "error": str(error)})
            worst = max(worst, error.exit_code)
            continue
        entries.append(report.model_dump(mode="json"))
        if json_to != "-":
            Console().print(_table(report))
        worst = max(worst, 0 if report.passed else _OUT_OF_TOLERANCE)
    if json_to is not None:
        _write_json(entries, json_to)
    if worst:
        raise typer.Exit(worst)


def _table(report: VerifyReport) -> Table:
    """A row for each output that fails; the worst output of a program where none does."""
    threads = f"{report.threads} thread{'s' if report.threads > 1 else ''}"
    table = Table(
        title=escape(f"{report.artifact}: {report.backend}, {report.precision}, {threads}"),
        title_justify="left",
    )
    for column in ("program", "output", "relative", "in sRGB", "dB", "result"):
        table.add_column(column, overflow="fold", no_wrap=column == "program")
    for program in report.programs:
        failed = [output for output in program.outputs if not output.passed]
        worst = max(program.outputs, key=lambda output: output.difference.max_rel)
        count = len(program.outputs)
        for output in failed or [worst]:
            figures = output.difference
            srgb = figures.max_abs_srgb
            table.add_row(
                program.program,
                escape(output.name) + (f" (worst of {count})" if count > 1 and not failed else ""),
                f"{figures.max_rel:.1e}",
                "–" if srgb is None else f"{srgb:.1e}",
                "equal" if figures.psnr_db is None else f"{figures.psnr_db:.1f}",
                "[green]pass[/]" if output.passed else f"[red]FAIL[/]: {output.complaint}",
            )
    return table


def _write_json(entries: list[dict[str, Any]], target: str) -> None:
    text = json.dumps(entries, indent=2)
    if target == "-":
        typer.echo(text)
        return
    with atomic_file(Path(target)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
