"""`edge-pipeline develop`: develop RAW captures into pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, cast

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from edge_pipeline.errors import InputError
from edge_pipeline.isp.develop import Developer, Settings
from edge_pipeline.isp.folder import Job, Outcome, develop_all, exit_code, plan
from edge_pipeline.isp.grain import DEFAULT_GRAIN
from edge_pipeline.raw.profile import CameraProfile, load_profile, parse_profile
from edge_pipeline.report.terminal import console

__all__ = ["command"]

_HEADERLESS = "Headerless captures"


def command(
    captures: Annotated[
        list[Path],
        typer.Argument(
            metavar="CAPTURE...",
            help="RAW files.",
            show_default=False,
            readable=False,  # checked one by one, so that a bad one does not stop the others
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER",
            help="A picture (.jpg .png .tiff), or a folder.",
            show_default=False,
        ),
    ],
    format_name: Annotated[
        str | None,
        typer.Option("--format", help="Format in a folder: jpg, png or tiff; jpg by default."),
    ] = None,
    exposure: Annotated[
        float,
        typer.Option(
            "--exposure", metavar="EV", help="Stops of light to add to LibRaw's brightness."
        ),
    ] = 0.0,
    wb: Annotated[
        str,
        typer.Option(
            "--wb", metavar="as-shot|daylight|R,G,B", help="White balance, by name or multipliers."
        ),
    ] = "as-shot",
    grain: Annotated[
        float, typer.Option(metavar="0..1", help="Share of the sensor's noise that is kept.")
    ] = DEFAULT_GRAIN,
    size: Annotated[
        str,
        typer.Option(
            metavar="full|half", help="half: the mean of each 2x2 pixels in linear light."
        ),
    ] = "full",
    hot_pixels: Annotated[
        str, typer.Option(metavar="on|off", help="Repair hot and dead pixels of the sensor.")
    ] = "on",
    fringes: Annotated[
        str,
        typer.Option(
            metavar="auto|off", help="Correct colour fringes of the lens if they are certain."
        ),
    ] = "auto",
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="ARTIFACT",
            help="A compiled model; the shipped one by default.",
            readable=False,  # opening the artifact reports what is wrong
        ),
    ] = None,
    sidecar: Annotated[
        bool, typer.Option("--sidecar", help="Also write PICTURE.json: model, levels, versions.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing pictures.")] = False,
    threads: Annotated[
        int | None, typer.Option(help="Number of compute threads; all cores by default.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time limit for reading one capture.")
    ] = 60.0,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Profile of the camera; the options below override its fields.",
            rich_help_panel=_HEADERLESS,
        ),
    ] = None,
    width: Annotated[int | None, typer.Option(help="Columns.", rich_help_panel=_HEADERLESS)] = None,
    height: Annotated[int | None, typer.Option(help="Rows.", rich_help_panel=_HEADERLESS)] = None,
    bits: Annotated[
        int | None, typer.Option(help="Bits per value.", rich_help_panel=_HEADERLESS)
    ] = None,
    packing: Annotated[
        str | None,
        typer.Option(
            help="u8, u16le, u16be, mipi10, mipi12 or packed12le.", rich_help_panel=_HEADERLESS
        ),
    ] = None,
    cfa: Annotated[
        str | None,
        typer.Option(help="rggb, bggr, grbg or gbrg.", rich_help_panel=_HEADERLESS),
    ] = None,
    black: Annotated[
        str | None,
        typer.Option(metavar="LEVEL|R,G,G,B", help="Black level.", rich_help_panel=_HEADERLESS),
    ] = None,
    white: Annotated[
        float | None, typer.Option(help="White level.", rich_help_panel=_HEADERLESS)
    ] = None,
) -> None:
    """Develop RAW captures into pictures.

    A capture is a Bayer file that LibRaw opens, or a headerless file that options or a profile
    describe.

    Exit code: 0 if every picture was written, 2 if an input could not be used, 1 if processing
    failed.
    """
    given = {
        "width": width,
        "height": height,
        "bits": bits,
        "packing": packing,
        "cfa": cfa,
        "black": black,
        "white": white,
    }
    settings = Settings(
        exposure_ev=exposure,
        white_balance=wb,
        grain=grain,
        size=cast(Literal["full", "half"], size),
        profile=_profile(profile, given, wb),
        hot_pixels=_on("hot pixels", hot_pixels),
        fringes=cast(Literal["auto", "off"], fringes),
    )
    jobs = plan(captures, output, format_name=format_name)
    with Developer(model, threads=threads, timeout_s=timeout) as developer:
        outcomes = _run(jobs, developer, settings, sidecar=sidecar, force=force)
    _tell(outcomes)


def _on(name: str, choice: str) -> bool:
    """Return whether a choice of on or off is on.

    Raises:
        InputError: if it is neither.
    """
    if choice not in ("on", "off"):
        raise InputError(f"{name} is {choice!r}; give on or off")
    return choice == "on"


def _profile(name: str | None, given: Mapping[str, object], wb: str) -> CameraProfile | None:
    """Return the profile of headerless captures; None if no option describes such captures."""
    changed = {field: value for field, value in given.items() if value is not None}
    if name is None and not changed:
        return None
    if "," in wb:
        changed["wb"] = wb
    if name is None:
        return parse_profile(changed, "the options")
    known = load_profile(name)
    return parse_profile({**known.model_dump(), **changed}, f"{name} and the options")


def _run(
    jobs: Sequence[Job], developer: Developer, settings: Settings, *, sidecar: bool, force: bool
) -> list[Outcome]:
    """Develop the captures and return their outcomes; show a progress bar on a terminal."""
    screen = console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    outcomes: list[Outcome] = []
    with progress:
        captures = progress.add_task("captures", total=len(jobs), visible=len(jobs) > 1)
        tiles = progress.add_task(jobs[0].capture.name, total=None)

        def on_tile(number: int, done: int, total: int) -> None:
            name = jobs[number].capture.name
            progress.update(tiles, description=name, completed=done, total=total)

        for outcome in develop_all(
            jobs, developer, settings, sidecar=sidecar, force=force, on_tile=on_tile
        ):
            outcomes.append(outcome)
            progress.advance(captures)
            for note in outcome.notes:
                progress.console.print(f"note: {outcome.job.capture}: {note}", markup=False)
    return outcomes


def _tell(outcomes: Sequence[Outcome]) -> None:
    """Print the outcomes.

    Raises:
        EdgePipelineError: if there was one capture and it failed.
        typer.Exit: if there were several captures and some failed.
    """
    if len(outcomes) == 1:
        if outcomes[0].error is not None:
            raise outcomes[0].error
        typer.echo(f"developed {outcomes[0].job.capture} -> {outcomes[0].job.picture}")
        return
    screen = console()
    for outcome in outcomes:
        screen.print(_line(outcome), soft_wrap=True)
    failed = sum(outcome.error is not None for outcome in outcomes)
    typer.echo(f"{len(outcomes) - failed} developed, {failed} failed")
    if failed:
        raise typer.Exit(exit_code(outcomes))


def _line(outcome: Outcome) -> Text:
    """Return a line of the summary; an error is not wrapped, so that it can be searched for."""
    job = outcome.job
    if outcome.error is None:
        return Text.assemble(("developed  ", "green"), f"{job.capture} -> {job.picture}")
    said = str(outcome.error)
    return Text.assemble(
        ("failed     ", "red"), said if str(job.capture) in said else f"{job.capture}: {said}"
    )
