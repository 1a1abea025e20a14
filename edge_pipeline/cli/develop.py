"""`edge-pipeline develop`: develop RAW captures into pictures."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from edge_pipeline.errors import EdgePipelineError, OutputError
from edge_pipeline.isp.batch import Outcome, develop_all, exit_code
from edge_pipeline.isp.cluster import ClusterOptions, develop_on_cluster
from edge_pipeline.isp.develop import Developer
from edge_pipeline.isp.folder import Job, check_quality, folder_of, plan
from edge_pipeline.isp.gather import Gathered, gather
from edge_pipeline.isp.grain import DEFAULT_GRAIN
from edge_pipeline.isp.output import DEFAULT_QUALITY, FULL_COLOUR_QUALITY
from edge_pipeline.isp.resize import parse_resize
from edge_pipeline.isp.settings import Settings
from edge_pipeline.isp.share import share_cores
from edge_pipeline.isp.standard_output import STANDARD_OUTPUT, send, temporary_jobs
from edge_pipeline.raw.limits import DEFAULT_MAX_PIXELS, PixelLimits
from edge_pipeline.raw.profile import CameraProfile, load_profile, parse_profile
from edge_pipeline.report.development import BatchReporter

__all__ = ["command"]

_PICTURE = "Size and format"
_BATCH = "Many captures and limits"
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
            "--format",
            help="Format in a folder or for -: jpg, png or tiff; jpg by default.",
            rich_help_panel=_PICTURE,
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            metavar="1..100",
            help=f"Quality of a JPEG, {DEFAULT_QUALITY} by default; from {FULL_COLOUR_QUALITY} on, "
            "colours have the full resolution (4:4:4).",
            rich_help_panel=_PICTURE,
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
            "--wb", metavar="as-shot|daylight|R,G,B", help="White balance, by name or multipliers."
        ),
    ] = "as-shot",
    grain: Annotated[
        float, typer.Option(metavar="0..1", help="Share of the sensor's noise that is kept.")
    ] = DEFAULT_GRAIN,
    filters: Annotated[
        str,
        typer.Option(
            metavar="preview|exact",
            help="Predict the network's filters from windows of the capture, or from all of it.",
        ),
    ] = "preview",
    filters_from: Annotated[
        Path | None,
        typer.Option(
            metavar="CAPTURE",
            help="Use this capture's filters for all, as for a burst.",
            readable=False,  # reading it reports what is wrong
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="full|half",
            help="half: the mean of each 2x2 pixels in linear light.",
            rich_help_panel=_PICTURE,
        ),
    ] = "full",
    resize: Annotated[
        str | None,
        typer.Option(
            metavar="N|WxH|Wx|xH|P%",
            help="Shrink to a longer side of N pixels, into a box, or by a share, after --size.",
            rich_help_panel=_PICTURE,
        ),
    ] = None,
    square_pixels: Annotated[
        bool,
        typer.Option(
            help="Stretch the picture of a sensor whose pixels are not square.",
            rich_help_panel=_PICTURE,
        ),
    ] = True,
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
        bool,
        typer.Option(
            "--sidecar",
            help="Also write PICTURE.json: model, levels, versions.",
            rich_help_panel=_PICTURE,
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing pictures.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Captures at once; by default as many as cores and memory allow.",
            rich_help_panel=_BATCH,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Compute threads for each capture; by default an equal share of cores.",
            rich_help_panel=_BATCH,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Dask scheduler whose workers develop: tcp://HOST:PORT."
        ),
    ] = None,
    max_pixels: Annotated[
        int,
        typer.Option(metavar="PIXELS", help="Refuse larger captures.", rich_help_panel=_BATCH),
    ] = DEFAULT_MAX_PIXELS,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Time limit for reading one capture.",
            rich_help_panel=_BATCH,
        ),
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
        "black": black,
        "white": white,
    }
    settings = Settings(
        exposure_ev=exposure,
        white_balance=wb,
        grain=grain,
        size=cast(Literal["full", "half"], size),
        filters=cast(Literal["preview", "exact"], filters),
        filters_from=None if filters_from is None else filters_from.absolute(),
        resize=None if resize is None else parse_resize(resize),
        square_pixels=square_pixels,
        quality=quality,
        profile=_profile(profile, given, wb),
        hot_pixels=cast(Literal["on", "off"], hot_pixels),
        fringes=cast(Literal["auto", "off"], fringes),
    )
    folder = None if output == STANDARD_OUTPUT else folder_of(output)
    gathered = gather(captures, folder, headerless=settings.profile is not None)
    options = _Options(model, jobs, threads, timeout, max_pixels, sidecar, force, scheduler)
    if output == STANDARD_OUTPUT:
        if scheduler is not None:
            raise OutputError("--scheduler cannot write standard output; give -o FILE or FOLDER")
        with temporary_jobs(gathered, format_name, sidecar=sidecar) as planned:
            check_quality(planned, quality)
            code = _run(planned, gathered, settings, options, picture_name=STANDARD_OUTPUT)
            if code == 0:
                send(planned[0].picture)
    else:
        planned = plan(gathered.captures, output, format_name=format_name)
        check_quality(planned, quality)
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
    scheduler: str | None


def _run(
    jobs: Sequence[Job],
    gathered: Gathered,
    settings: Settings,
    options: _Options,
    *,
    picture_name: str | None = None,
) -> int:
    """Develop the captures, print the outcomes, and return the exit code."""
    several = len(jobs) > 1 or gathered.from_folder
    reporter = BatchReporter(jobs, picture_name=picture_name, summary=several)
    with ExitStack() as stack:
        start = _here if options.scheduler is None else _elsewhere
        outcomes = start(stack, jobs, settings, options, reporter)
        stack.enter_context(reporter)
        for unreadable in gathered.unreadable:
            reporter.fail(unreadable)
        errors: list[EdgePipelineError] = [*gathered.unreadable]
        for outcome in outcomes:
            reporter.report(outcome)
            errors += [outcome.error] if outcome.error else []
    reporter.summarize()
    return exit_code(errors)


def _here(
    stack: ExitStack,
    jobs: Sequence[Job],
    settings: Settings,
    options: _Options,
    reporter: BatchReporter,
) -> Iterator[Outcome]:
    """Open the model for this machine, until `stack` is closed; return the outcomes to come."""
    share = share_cores([j.capture for j in jobs], jobs=options.jobs, threads=options.threads)
    limits = PixelLimits(options.max_pixels, share.jobs)
    stop = threading.Event()
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
    return develop_all(
        jobs,
        developers,
        settings,
        sidecar=options.sidecar,
        force=options.force,
        stop=stop,
        on_tile=reporter.on_tile,
    )


def _elsewhere(
    stack: ExitStack,
    jobs: Sequence[Job],
    settings: Settings,
    options: _Options,
    _reporter: BatchReporter,
) -> Iterator[Outcome]:
    """Return the outcomes to come of workers on a cluster, whose rest ends when `stack` does."""
    cluster = ClusterOptions(
        address=options.scheduler or "",
        model=options.model,
        jobs=options.jobs,
        threads=options.threads,
        timeout_s=options.timeout_s,
        max_pixels=options.max_pixels,
        sidecar=options.sidecar,
        force=options.force,
    )
    return stack.enter_context(closing(develop_on_cluster(jobs, settings, cluster)))


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
