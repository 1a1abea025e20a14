"""`edge-pipeline develop`: develop RAW captures into pictures."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.isp.batch import develop_all, exit_code
from edge_pipeline.isp.colour_spaces import SRGB
from edge_pipeline.isp.develop import Developer
from edge_pipeline.isp.folder import Job, folder_of, plan
from edge_pipeline.isp.gather import Gathered, gather
from edge_pipeline.isp.grain import DEFAULT_GRAIN
from edge_pipeline.isp.output import bits_of, format_of
from edge_pipeline.isp.settings import Settings
from edge_pipeline.isp.share import share_cores
from edge_pipeline.isp.standard_output import STANDARD_OUTPUT, send, temporary_jobs
from edge_pipeline.raw.highlights import HighlightsName
from edge_pipeline.raw.levels import parse_levels
from edge_pipeline.raw.limits import DEFAULT_MAX_PIXELS, PixelLimits
from edge_pipeline.raw.profile import CameraProfile, load_profile, parse_profile
from edge_pipeline.raw.tone import DEFAULT_TONE, ToneName
from edge_pipeline.report.development import BatchReporter

__all__ = ["command"]

_HEADERLESS = "Headerless captures"


def command(
    captures: Annotated[
        list[Path],
        typer.Argument(
            metavar="CAPTURE|FOLDER...",
            help="RAW files, and folders that are searched for RAW files.",
            show_default=False,
            readable=False,  # checked one by one, so that a bad one does not stop the others
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER|-",
            help="A picture (.jpg .png .tiff), a folder, or - for standard output.",
            show_default=False,
        ),
    ],
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", help="Format in a folder or for -: jpg, png or tiff; jpg by default."
        ),
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
            "--wb",
            metavar="as-shot|daylight|auto|KELVIN|R,G,B",
            help="White balance: by name, by kelvin as in 5500K, or by multipliers.",
        ),
    ] = "as-shot",
    tint: Annotated[
        float,
        typer.Option(
            "--tint",
            metavar="-150..150",
            help="With --wb in kelvin: more magenta (+) or green (-).",
        ),
    ] = 0.0,
    tone: Annotated[
        str,
        typer.Option(
            metavar="standard|linear",
            help="standard: the brightness and contrast of a camera's picture; linear: no curve.",
        ),
    ] = DEFAULT_TONE,
    highlights: Annotated[
        str | None,
        typer.Option(
            metavar="reconstruct|clip",
            help="Colours of saturated areas; clip by default with --tone linear.",
            show_default="reconstruct",
        ),
    ] = None,
    colour_space: Annotated[
        str,
        typer.Option(
            "--colour-space",
            "--color-space",
            metavar="NAME",
            help="srgb, display-p3, adobe-rgb or linear-rec2020 (.tiff only).",
        ),
    ] = SRGB.name,
    black: Annotated[
        str | None,
        typer.Option(metavar="LEVEL|R,G,G,B", help="Black level; replaces a file's own."),
    ] = None,
    white: Annotated[
        float | None, typer.Option(metavar="LEVEL", help="White level; replaces a file's own.")
    ] = None,
    grain: Annotated[
        float, typer.Option(metavar="0..1", help="Share of the sensor's noise that is kept.")
    ] = DEFAULT_GRAIN,
    size: Annotated[
        str,
        typer.Option(
            metavar="full|half", help="half: the mean of each 2x2 pixels in linear light."
        ),
    ] = "full",
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
    jobs: Annotated[
        int | None,
        typer.Option(help="Captures at once; by default as many as cores and memory allow."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Compute threads for each capture; by default an equal share of cores."),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(metavar="PIXELS", help="Refuse larger captures.")
    ] = DEFAULT_MAX_PIXELS,
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
) -> None:
    """Develop RAW captures into pictures.

    A capture is a Bayer file that LibRaw opens, or a headerless file that options or a profile
    describe. In a folder, an existing picture is kept and its capture is skipped, so that the same
    command continues an interrupted one.

    Exit code: 0 if every picture exists, 2 if an input could not be used, 1 if processing failed.
    """
    given = {
        "width": width,
        "height": height,
        "bits": bits,
        "packing": packing,
        "cfa": cfa,
    }
    headerless = _profile(profile, given, {"black": black, "white": white}, wb)
    settings = Settings(
        exposure_ev=exposure,
        white_balance=wb,
        grain=grain,
        size=cast(Literal["full", "half"], size),
        profile=headerless,
        tint=tint,
        tone=cast(ToneName, tone),
        highlights=cast(HighlightsName | None, highlights),
        colour_space=colour_space,
        levels=parse_levels(black, white) if headerless is None else None,
    )
    folder = None if output == STANDARD_OUTPUT else folder_of(output)
    gathered = gather(captures, folder, headerless=settings.profile is not None)
    options = _Options(model, jobs, threads, timeout, max_pixels, sidecar, force)
    if output == STANDARD_OUTPUT:
        with temporary_jobs(gathered, format_name, sidecar=sidecar) as planned:
            code = _run(planned, gathered, settings, options, picture_name=STANDARD_OUTPUT)
            if code == 0:
                send(planned[0].picture)
    else:
        planned = plan(gathered.captures, output, format_name=format_name)
        code = _run(planned, gathered, settings, options)
    if code:
        raise typer.Exit(code)


@dataclass(frozen=True)
class _Options:
    """Options of the command that are the same for all captures, apart from the settings."""

    model: Path | None
    jobs: int | None
    threads: int | None
    timeout_s: float
    max_pixels: int
    sidecar: bool
    force: bool


def _run(
    jobs: Sequence[Job],
    gathered: Gathered,
    settings: Settings,
    options: _Options,
    *,
    picture_name: str | None = None,
) -> int:
    """Develop the captures, print the outcomes, and return the exit code."""
    for job in jobs:  # before the first capture, rather than once for each
        replace(settings, bits=bits_of(format_of(job.picture))).check_bits()
    share = share_cores([j.capture for j in jobs], jobs=options.jobs, threads=options.threads)
    limits = PixelLimits(options.max_pixels, share.jobs)
    stop = threading.Event()
    several = len(jobs) > 1 or gathered.from_folder
    with ExitStack() as stack:
        developers = [
            stack.enter_context(
                Developer(
                    options.model,
                    threads=share.threads,
                    timeout_s=options.timeout_s,
                    limits=limits,
                    stop=stop,
                )
            )
            for _ in range(share.jobs)
        ]
        reporter = BatchReporter(jobs, picture_name=picture_name, summary=several)
        stack.enter_context(reporter)
        for unreadable in gathered.unreadable:
            reporter.fail(unreadable)
        errors: list[EdgePipelineError] = [*gathered.unreadable]
        for outcome in develop_all(
            jobs,
            developers,
            settings,
            sidecar=options.sidecar,
            force=options.force,
            stop=stop,
            on_tile=reporter.on_tile,
        ):
            reporter.report(outcome)
            errors += [outcome.error] if outcome.error else []
    reporter.summarize()
    return exit_code(errors)


def _profile(
    name: str | None, given: Mapping[str, object], levels: Mapping[str, object], wb: str
) -> CameraProfile | None:
    """Return the profile of headerless captures; None if no option describes such captures.

    Levels and white balance alone do not, because they also apply to files with a header.
    """
    changed = {field: value for field, value in given.items() if value is not None}
    if name is None and not changed:
        return None
    changed |= {field: value for field, value in levels.items() if value is not None}
    if "," in wb:
        changed["wb"] = wb
    if name is None:
        return parse_profile(changed, "the options")
    known = load_profile(name)
    return parse_profile({**known.model_dump(), **changed}, f"{name} and the options")
