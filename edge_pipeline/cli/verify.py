"""`edge-pipeline verify`: compare artifacts' outputs with eager and with each other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import EdgePipelineError, InputError
from edge_pipeline.files import atomic_file
from edge_pipeline.proof.agree import compare_artifacts
from edge_pipeline.proof.reports import OutputReport, PairReport, ProgramReport, VerifyReport
from edge_pipeline.proof.verify import Trials, verify_artifact
from edge_pipeline.report.terminal import console

__all__ = ["command"]

_OUT_OF_TOLERANCE = 1
_VERDICTS = {
    "verified": "[green]verified[/]",
    "translation": "[yellow]translation[/] (evaluated, not run)",
    "not_run": "[red]not run[/]",
    "failed": "[red]failed[/]",
}


def command(
    artifacts: Annotated[
        list[Path], typer.Argument(metavar="ARTIFACT...", help="Artifact folders.")
    ],
    threads: Annotated[int, typer.Option(min=1, help="Threads that the runtime may use.")] = 1,
    random: Annotated[
        int | None,
        typer.Option(min=0, help="Number of random inputs; by default 2 if torch can run eager."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random inputs.")] = 0,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest relative error, instead of the precision's tolerance."),
    ] = None,
    json_to: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE|-", help="Write the figures as JSON; - is stdout."),
    ] = None,
) -> None:
    """Run artifacts and compare their outputs with eager PyTorch and with each other.

    Each artifact is run on its reference input; eager's output for it was stored at compilation. If
    torch is installed and the artifact contains the network, it is also run on random inputs.
    Artifacts of the same network are compared with each other.

    Exit code: 0 if all outputs are within tolerance, 1 if one is not or could not be computed, 2 if
    an artifact is damaged.
    """
    if tolerance is not None and not 0 < tolerance < 1:
        raise InputError(
            f"--tolerance {tolerance:g} is not a relative error; give a number between 0 and 1"
        )
    trials = Trials(random, seed, tolerance)
    with _json_target(json_to) as write:
        entries, worst = _verify_all(artifacts, threads, trials, quiet=json_to == "-")
        write(entries)
    if worst:
        raise typer.Exit(worst)


def _verify_all(
    folders: Sequence[Path], threads: int, trials: Trials, *, quiet: bool
) -> tuple[list[dict[str, Any]], int]:
    """Verify and compare the artifacts; return the entries of the JSON, and the exit code."""
    entries: list[dict[str, Any]] = []
    worst = 0
    opened: list[Artifact] = []
    for folder in folders:
        try:
            artifact = Artifact.open(folder)
            report = verify_artifact(artifact, threads=threads, trials=trials)
        except EdgePipelineError as error:
            # A bad artifact does not prevent the others from being verified.
            typer.echo(f"error: {error}", err=True)
            entries.append({"artifact": str(folder), "passed": False, "error": str(error)})
            worst = max(worst, error.exit_code)
            continue
        opened.append(artifact)
        entries.append(report.model_dump(mode="json"))
        if not quiet:
            _show(report)
        worst = max(worst, 0 if report.passed else _OUT_OF_TOLERANCE)
    try:
        pairs = compare_artifacts(opened, threads=threads, trials=trials)
    except EdgePipelineError as error:
        typer.echo(f"error: comparing the artifacts with each other: {error}", err=True)
        return entries, max(worst, error.exit_code)
    for pair in pairs:
        entries.append(pair.model_dump(mode="json"))
        if not quiet:
            _show_pair(pair)
        worst = max(worst, 0 if pair.passed else _OUT_OF_TOLERANCE)
    return entries, worst


def _show(report: VerifyReport) -> None:
    threads = f"{report.threads} thread{'s' if report.threads > 1 else ''}"
    out = console()
    title = escape(f"{report.artifact}: {report.backend}, {report.precision}, {threads}")
    if report.programs:
        out.print(_table(title, report.programs))
    else:
        out.print(title)
    for note in report.notes:
        out.print(f"note: {note}", markup=False)
    out.print(_VERDICTS[report.verdict])


def _show_pair(pair: PairReport) -> None:
    out = console()
    title = escape(" and ".join(pair.pair))
    if pair.note is not None:
        out.print(f"{title}: {escape(pair.note)}")
    else:
        out.print(_table(f"{title}, compared with each other", pair.programs))


def _table(title: str, programs: Sequence[ProgramReport]) -> Table:
    """Return a table with a row per failed output, or the worst output if a program has none."""
    table = Table(title=title, title_justify="left")
    for column in ("program", "input", "output", "absolute", "relative", "in sRGB", "dB", "result"):
        table.add_column(column, overflow="fold", no_wrap=column == "program")
    for name, label, outputs in _grouped(programs):
        failed = [output for output in outputs if not output.passed]
        worst = max(outputs, key=lambda output: output.difference.max_rel)
        for output in failed or [worst]:
            more = f" (worst of {len(outputs)})" if len(outputs) > 1 and not failed else ""
            table.add_row(name, label, escape(output.name) + more, *_figures(output))
    return table


def _grouped(
    programs: Sequence[ProgramReport],
) -> Iterator[tuple[str, str, list[OutputReport]]]:
    """Yield each program's outputs on its reference input, and on all random inputs together."""
    groups: dict[tuple[str, str], list[OutputReport]] = {}
    for report in programs:
        random = report.input.startswith("random")
        key = (report.program, "random" if random else report.input)
        groups.setdefault(key, []).extend(report.outputs)
    for (program, label), outputs in groups.items():
        yield program, label, outputs


def _figures(output: OutputReport) -> tuple[str, ...]:
    figures = output.difference
    srgb = figures.max_abs_srgb
    return (
        f"{figures.max_abs:.1e}",
        f"{figures.max_rel:.1e}",
        "–" if srgb is None else f"{srgb:.1e}",
        "equal" if figures.own_psnr_db is None else f"{figures.own_psnr_db:.1f}",
        "[green]pass[/]" if output.passed else f"[red]FAIL[/]: {output.complaint}",
    )


@contextmanager
def _json_target(target: str | None) -> Iterator[Any]:
    """Yield a function that writes the entries; raise at once if the file cannot be written."""
    if target is None:
        yield lambda _: None
    elif target == "-":
        yield lambda entries: typer.echo(json.dumps(entries, indent=2))
    else:
        with atomic_file(Path(target)) as temporary:
            yield lambda entries: temporary.write_text(
                json.dumps(entries, indent=2) + "\n", encoding="utf-8"
            )
