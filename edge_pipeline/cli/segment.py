"""`edge-pipeline segment`: write masks and overlays of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_pipeline.errors import EdgePipelineError, exit_code
from edge_pipeline.gather import gather
from edge_pipeline.report.segmentation import SegmentReporter
from edge_pipeline.segmentation.batch import PICTURES, plan, segment_all
from edge_pipeline.segmentation.output import DEFAULT_OPACITY, check_opacity
from edge_pipeline.segmentation.segmenter import Segmenter, Tiling

__all__ = ["command"]


def command(
    pictures: Annotated[
        list[Path],
        typer.Argument(
            metavar="PICTURE|FOLDER...",
            help="PNG, JPEG, TIFF, BMP or WebP files, and folders that are searched for them.",
            show_default=False,
            readable=False,  # checked one by one, so that a bad one does not stop the others
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Folder for NAME.mask.png and NAME.overlay.jpg.",
            show_default=False,
            readable=False,
        ),
    ],
    phi: Annotated[
        float | None,
        typer.Option(
            metavar="VALUE",
            help="Rescaling factor of the network: less is faster, more is better; the model's own "
            "by default.",
        ),
    ] = None,
    resize: Annotated[
        bool,
        typer.Option(
            "--resize",
            help="Scale each picture to the network's input size, and its mask back, instead of "
            "cutting it into tiles.",
        ),
    ] = False,
    overlap: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Pixels that are not kept at each inner edge of a tile; the network's halo by "
            "default, or an eighth of the tile.",
        ),
    ] = None,
    overlays: Annotated[
        bool, typer.Option("--overlay/--no-overlay", help="Write overlays beside the masks.")
    ] = True,
    opacity: Annotated[
        float, typer.Option(metavar="0..1", help="Opacity of the colours in overlays.")
    ] = DEFAULT_OPACITY,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="ARTIFACT",
            help="A compiled segmenter; the shipped one by default.",
            readable=False,  # opening the artifact reports what is wrong
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads that compute; all cores by default."),
    ] = None,
) -> None:
    """Segment pictures: write a mask and an overlay of each.

    A mask is a PNG of the picture's size whose values are the labels. Existing files are kept, and
    pictures whose files all exist are skipped, so that the same command continues an interrupted
    one.

    Exit code: 0 if every file exists, 2 if an input could not be used, 1 if processing failed.
    """
    check_opacity(opacity)
    tiling = Tiling(overlap, resize)
    gathered = gather(pictures, output, PICTURES)
    jobs = plan(gathered.files, output, overlays=overlays)
    errors: list[EdgePipelineError] = [*gathered.unreadable]
    reporter = SegmentReporter(jobs, summary=len(jobs) > 1 or gathered.from_folder)
    with (
        Segmenter(model, phi=phi, threads=threads, tiling=tiling) as segmenter,
        reporter,
    ):
        for unreadable in gathered.unreadable:
            reporter.fail(unreadable)
        for outcome in segment_all(
            jobs, segmenter, opacity=opacity, force=force, on_tile=reporter.on_tile
        ):
            reporter.report(outcome)
            errors += [outcome.error] if outcome.error else []
    reporter.summarize()
    code = exit_code(errors)
    if code:
        raise typer.Exit(code)
