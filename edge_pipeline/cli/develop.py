"""`edge-pipeline develop`: develop RAW captures into pictures."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Literal, cast

import typer

from edge_pipeline.cli import develop_options as cli
from edge_pipeline.errors import EdgePipelineError, InputError, OutputError, exit_code
from edge_pipeline.gather import Gathered
from edge_pipeline.isp.batch import BatchOptions, Outcome, develop_all
from edge_pipeline.isp.cluster import develop_on_cluster
from edge_pipeline.isp.colour_spaces import SRGB
from edge_pipeline.isp.develop import Developer
from edge_pipeline.isp.folder import Job, check_quality, folder_of, plan
from edge_pipeline.isp.gather import gather
from edge_pipeline.isp.grain import DEFAULT_GRAIN
from edge_pipeline.isp.memory import MemoryLimit, return_large_blocks
from edge_pipeline.isp.output import bits_of, format_of
from edge_pipeline.isp.resize import parse_resize
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


def command(
    captures: cli.CapturesArgument,
    output: cli.OutputOption,
    format_name: cli.FormatNameOption = None,
    quality: cli.QualityOption = None,
    exposure: cli.ExposureOption = 0.0,
    wb: cli.WhiteBalanceOption = "as-shot",
    tint: cli.TintOption = 0.0,
    tone: cli.ToneOption = DEFAULT_TONE,
    highlights: cli.HighlightsOption = None,
    colour_space: cli.ColourSpaceOption = SRGB.name,
    black: cli.BlackOption = None,
    white: cli.WhiteOption = None,
    grain: cli.GrainOption = DEFAULT_GRAIN,
    filters: cli.FiltersOption = "preview",
    filters_from: cli.FiltersFromOption = None,
    size: cli.SizeOption = "full",
    resize: cli.ResizeOption = None,
    square_pixels: cli.SquarePixelsOption = True,
    hot_pixels: cli.HotPixelsOption = "on",
    fringes: cli.FringesOption = "auto",
    model: cli.ModelOption = None,
    sidecar: cli.SidecarOption = False,
    force: cli.ForceOption = False,
    jobs: cli.JobsOption = None,
    threads: cli.ThreadsOption = None,
    scheduler: cli.SchedulerOption = None,
    max_pixels: cli.MaxPixelsOption = DEFAULT_MAX_PIXELS,
    memory: cli.MemoryOption = None,
    timeout: cli.TimeoutOption = 60.0,
    profile: cli.ProfileOption = None,
    width: cli.WidthOption = None,
    height: cli.HeightOption = None,
    bits: cli.BitsOption = None,
    packing: cli.PackingOption = None,
    cfa: cli.CfaOption = None,
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
        filters=cast(Literal["preview", "exact"], filters),
        filters_from=None if filters_from is None else filters_from.absolute(),
        resize=None if resize is None else parse_resize(resize),
        square_pixels=square_pixels,
        quality=quality,
        hot_pixels=cast(Literal["on", "off"], hot_pixels),
        fringes=cast(Literal["auto", "off"], fringes),
        profile=headerless,
        tint=tint,
        tone=cast(ToneName, tone),
        highlights=cast(HighlightsName | None, highlights),
        colour_space=colour_space,
        levels=parse_levels(black, white) if headerless is None else None,
    )
    folder = None if output == STANDARD_OUTPUT else folder_of(output)
    gathered = gather(captures, folder, headerless=settings.profile is not None)
    options = BatchOptions(model, jobs, threads, timeout, max_pixels, sidecar, force)
    place = _Place(options, MemoryLimit(memory), scheduler)
    if scheduler is not None and memory is not None:
        raise InputError("--memory applies to this machine only; leave it out with --scheduler")
    if output == STANDARD_OUTPUT:
        if scheduler is not None:
            raise OutputError("--scheduler cannot write standard output; give -o FILE or FOLDER")
        with temporary_jobs(gathered, format_name, sidecar=sidecar) as planned:
            check_quality(planned, quality)
            code = _run(planned, gathered, settings, place, picture_name=STANDARD_OUTPUT)
            if code == 0:
                send(planned[0].picture)
    else:
        planned = plan(gathered.files, output, format_name=format_name)
        check_quality(planned, quality)
        code = _run(planned, gathered, settings, place)
    if code:
        raise typer.Exit(code)


@dataclass(frozen=True)
class _Place:
    """The machine or the cluster that develops the captures.

    Attributes:
        options: Options of the batch.
        memory: Memory limit of this machine.
        scheduler: Address of the cluster's scheduler; None for this machine.
    """

    options: BatchOptions
    memory: MemoryLimit
    scheduler: str | None


def _run(
    jobs: Sequence[Job],
    gathered: Gathered,
    settings: Settings,
    place: _Place,
    *,
    picture_name: str | None = None,
) -> int:
    """Develop the captures, print the outcomes, and return the exit code."""
    for job in jobs:  # before the first capture, rather than once for each
        replace(settings, bits=bits_of(format_of(job.picture))).check_bits()
    several = len(jobs) > 1 or gathered.from_folder
    reporter = BatchReporter(jobs, picture_name=picture_name, summary=several)
    with ExitStack() as stack:
        outcomes = _begin(stack, jobs, settings, place, reporter)
        stack.enter_context(reporter)
        for unreadable in gathered.unreadable:
            reporter.fail(unreadable)
        errors: list[EdgePipelineError] = [*gathered.unreadable]
        for outcome in outcomes:
            reporter.report(outcome)
            errors += [outcome.error] if outcome.error else []
    reporter.summarize()
    return exit_code(errors)


def _begin(
    stack: ExitStack,
    jobs: Sequence[Job],
    settings: Settings,
    place: _Place,
    reporter: BatchReporter,
) -> Iterator[Outcome]:
    """Open the model or the cluster until `stack` is closed; return the outcomes to come."""
    options = place.options
    if place.scheduler is not None:
        outcomes = develop_on_cluster(jobs, settings, options, place.scheduler)
        return stack.enter_context(closing(outcomes))
    return_large_blocks()
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
                memory=place.memory.shared(share.jobs),
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
