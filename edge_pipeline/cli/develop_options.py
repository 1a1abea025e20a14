"""Options of `edge-pipeline develop`: types, help texts and the panels that group them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_pipeline.isp.output import DEFAULT_QUALITY, FULL_COLOUR_QUALITY

__all__ = [
    "BitsOption",
    "BlackOption",
    "CapturesArgument",
    "CfaOption",
    "ColourSpaceOption",
    "ExposureOption",
    "FiltersFromOption",
    "FiltersOption",
    "ForceOption",
    "FormatNameOption",
    "FringesOption",
    "GrainOption",
    "HeightOption",
    "HighlightsOption",
    "HotPixelsOption",
    "JobsOption",
    "MaxPixelsOption",
    "ModelOption",
    "OutputOption",
    "PackingOption",
    "ProfileOption",
    "QualityOption",
    "ResizeOption",
    "SchedulerOption",
    "SidecarOption",
    "SizeOption",
    "SquarePixelsOption",
    "ThreadsOption",
    "TimeoutOption",
    "TintOption",
    "ToneOption",
    "WhiteBalanceOption",
    "WhiteOption",
    "WidthOption",
]

_PICTURE = "Size and format"
_BATCH = "Many captures and limits"
_HEADERLESS = "Headerless captures"

CapturesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="CAPTURE|FOLDER...",
        help="RAW files, and folders that are searched for RAW files.",
        show_default=False,
        readable=False,  # checked one by one, so that a bad one does not stop the others
    ),
]
OutputOption = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|FOLDER|-",
        help="A picture (.jpg .png .tiff), a folder, or - for standard output.",
        show_default=False,
    ),
]
FormatNameOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Format in a folder or for -: jpg, png or tiff; jpg by default.",
        rich_help_panel=_PICTURE,
    ),
]
QualityOption = Annotated[
    int | None,
    typer.Option(
        metavar="1..100",
        help=f"Quality of a JPEG, {DEFAULT_QUALITY} by default; from {FULL_COLOUR_QUALITY} on, "
        "colours have the full resolution (4:4:4).",
        rich_help_panel=_PICTURE,
    ),
]
ExposureOption = Annotated[
    float,
    typer.Option("--exposure", metavar="EV", help="Stops of light to add to LibRaw's brightness."),
]
WhiteBalanceOption = Annotated[
    str,
    typer.Option(
        "--wb",
        metavar="as-shot|daylight|auto|KELVIN|R,G,B",
        help="White balance: by name, by kelvin as in 5500K, or by multipliers.",
    ),
]
TintOption = Annotated[
    float,
    typer.Option(
        "--tint",
        metavar="-150..150",
        help="With --wb in kelvin: more magenta (+) or green (-).",
    ),
]
ToneOption = Annotated[
    str,
    typer.Option(
        metavar="standard|linear",
        help="standard: the brightness and contrast of a camera's picture; linear: no curve.",
    ),
]
HighlightsOption = Annotated[
    str | None,
    typer.Option(
        metavar="reconstruct|clip",
        help="Colours of saturated areas; clip by default with --tone linear.",
        show_default="reconstruct",
    ),
]
ColourSpaceOption = Annotated[
    str,
    typer.Option(
        "--colour-space",
        "--color-space",
        metavar="NAME",
        help="srgb, display-p3, adobe-rgb or linear-rec2020 (.tiff only).",
    ),
]
BlackOption = Annotated[
    str | None,
    typer.Option(metavar="LEVEL|R,G,G,B", help="Black level; replaces a file's own."),
]
WhiteOption = Annotated[
    float | None, typer.Option(metavar="LEVEL", help="White level; replaces a file's own.")
]
GrainOption = Annotated[
    float, typer.Option(metavar="0..1", help="Share of the sensor's noise that is kept.")
]
FiltersOption = Annotated[
    str,
    typer.Option(
        metavar="preview|exact",
        help="Predict the network's filters from windows of the capture, or from all of it.",
    ),
]
FiltersFromOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CAPTURE",
        help="Use this capture's filters for all, as for a burst.",
        readable=False,  # reading it reports what is wrong
    ),
]
SizeOption = Annotated[
    str,
    typer.Option(
        metavar="full|half",
        help="half: the mean of each 2x2 pixels in linear light.",
        rich_help_panel=_PICTURE,
    ),
]
ResizeOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|WxH|Wx|xH|P%",
        help="Shrink to a longer side of N pixels, into a box, or by a share, after --size.",
        rich_help_panel=_PICTURE,
    ),
]
SquarePixelsOption = Annotated[
    bool,
    typer.Option(
        help="Stretch the picture of a sensor whose pixels are not square.",
        rich_help_panel=_PICTURE,
    ),
]
HotPixelsOption = Annotated[
    str, typer.Option(metavar="on|off", help="Repair hot and dead pixels of the sensor.")
]
FringesOption = Annotated[
    str,
    typer.Option(
        metavar="auto|off", help="Correct colour fringes of the lens if they are certain."
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        metavar="ARTIFACT",
        help="A compiled model; the shipped one by default.",
        readable=False,  # opening the artifact reports what is wrong
    ),
]
SidecarOption = Annotated[
    bool,
    typer.Option(
        "--sidecar",
        help="Also write PICTURE.json: model, levels, versions.",
        rich_help_panel=_PICTURE,
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace existing pictures.")]
JobsOption = Annotated[
    int | None,
    typer.Option(
        help="Captures at once; by default as many as cores and memory allow.",
        rich_help_panel=_BATCH,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        help="Compute threads for each capture; by default an equal share of cores.",
        rich_help_panel=_BATCH,
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers develop: tcp://HOST:PORT."),
]
MaxPixelsOption = Annotated[
    int,
    typer.Option(metavar="PIXELS", help="Refuse larger captures.", rich_help_panel=_BATCH),
]
MemoryOption = Annotated[
    float | None,
    typer.Option(
        metavar="MB",
        help="Memory to use at most, 400 by default on two cores; less makes tiles smaller.",
        rich_help_panel=_BATCH,
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="Time limit for reading one capture.",
        rich_help_panel=_BATCH,
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Profile of the camera; the options below override its fields.",
        rich_help_panel=_HEADERLESS,
    ),
]
WidthOption = Annotated[int | None, typer.Option(help="Columns.", rich_help_panel=_HEADERLESS)]
HeightOption = Annotated[int | None, typer.Option(help="Rows.", rich_help_panel=_HEADERLESS)]
BitsOption = Annotated[
    int | None, typer.Option(help="Bits per value.", rich_help_panel=_HEADERLESS)
]
PackingOption = Annotated[
    str | None,
    typer.Option(
        help="u8, u16le, u16be, mipi10, mipi12 or packed12le.", rich_help_panel=_HEADERLESS
    ),
]
CfaOption = Annotated[
    str | None,
    typer.Option(help="rggb, bggr, grbg or gbrg.", rich_help_panel=_HEADERLESS),
]
