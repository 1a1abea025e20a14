"""Markdown tables of the measurements, and their insertion into a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.isp.measurements import EXPOSURE_EV, Borders, Exposure, Flat, Phases
from benchmarks.isp.measures import Quality
from edge_pipeline.files import atomic_file

__all__ = [
    "borders_table",
    "exposure_table",
    "flats_table",
    "noise_table",
    "phases_table",
    "put_table",
    "real_table",
    "shift_table",
    "zipper_table",
]


def _markdown(head: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([name, *cells] for name, cells in rows.items())]
    first, rule, *others = (" | ".join(cells) for cells in lines)
    return "\n".join(f"| {text} |" for text in (first, rule, *others))


def _cell(value: Quality) -> str:
    return f"{value.psnr_db:.2f} / {value.ssim:.4f}"


def noise_table(figures: Mapping[str, Mapping[str, Quality]]) -> str:
    """Return the table of PSNR and SSIM by noise level."""
    levels = list(next(iter(figures.values())))
    rows = {name: [_cell(by[level]) for level in levels] for name, by in figures.items()}
    return _markdown(["sRGB PSNR (dB) / SSIM", *levels], rows)


def shift_table(figures: Mapping[str, Mapping[float, Quality]]) -> str:
    """Return the table of PSNR and SSIM by the shift of red and blue."""
    shifts = list(next(iter(figures.values())))
    rows = {name: [_cell(by[pixels]) for pixels in shifts] for name, by in figures.items()}
    head = ["sRGB PSNR (dB) / SSIM", *(f"{pixels:g} pixel" for pixels in shifts)]
    return _markdown(head, rows)


def zipper_table(figures: Mapping[str, float]) -> str:
    """Return the table of zipper windows per megapixel."""
    rows = {name: [f"{count:,.0f}"] for name, count in figures.items()}
    return _markdown(["method", "zipper windows per megapixel"], rows)


def real_table(figures: Mapping[str, Mapping[str, float]], base: str) -> str:
    """Return the table of zipper windows per megapixel of real captures, with relative sums.

    Args:
        figures: Numbers of windows by method and capture.
        base: Method whose sum the last column divides by.
    """
    files = list(next(iter(figures.values())))
    total = sum(figures[base].values())
    rows = {}
    for name, by in figures.items():
        ratio = sum(by.values()) / total if total else float("nan")
        rows[name] = [*(f"{by[file]:,.0f}" for file in files), f"{ratio:.2f}"]
    return _markdown(["zipper windows per megapixel", *files, f"sum / {base}"], rows)


def phases_table(figures: Mapping[str, Phases]) -> str:
    """Return the table of the phase grid and the colour error."""
    rows = {
        name: [
            *(f"{x:.1f}" for x in by.grid),
            f"{by.grid_mean:.2f}",
            f"{by.colour:.2f}",
            f"{by.colour_worst:.1f}",
        ]
        for name, by in figures.items()
    }
    head = ["codes of 255", "grid, red", "green", "blue", "grid, mean", "colour, mean", "worst"]
    return _markdown(head, rows)


def flats_table(figures: Mapping[str, Mapping[str, Flat]]) -> str:
    """Return the table of mean errors of white, black and clipped black by noise level."""
    levels = list(next(iter(figures.values())))
    rows = {
        name: [" / ".join(f"{error:+z.1f}" for error in by[level]) for level in levels]
        for name, by in figures.items()
    }
    return _markdown(["white / black / clipped black (codes)", *levels], rows)


def borders_table(figures: Mapping[str, Borders]) -> str:
    """Return the table of PSNR of the border and of the inside."""
    rows = {
        name: [f"{by.outer_db:.2f}", f"{by.inner_db:.2f}", f"{by.outer_db - by.inner_db:+.2f}"]
        for name, by in figures.items()
    }
    return _markdown(["sRGB PSNR (dB)", "outer 8 pixels", "inside", "difference"], rows)


def exposure_table(figures: Mapping[str, Exposure]) -> str:
    """Return the table of PSNR with normal exposure and with underexposure."""
    rows = {
        name: [f"{by.normal_db:.2f}", f"{by.pushed_db:.2f}", f"{by.loss_db:z.2f}"]
        for name, by in figures.items()
    }
    return _markdown(["sRGB PSNR (dB)", "normal", f"{-EXPOSURE_EV:g} EV, pushed", "loss"], rows)


def put_table(page: Path, name: str, table: str) -> None:
    """Write a table between `<!-- table: NAME -->` and the next `<!-- end -->` of a page.

    Args:
        page: Path of a Markdown file.
        name: Name of the table.
        table: Text of the table.

    Raises:
        ValueError: If the page does not have exactly one such place.
    """
    text = page.read_text(encoding="utf-8")
    mark = re.escape(f"<!-- table: {name} -->")
    place = re.compile(rf"({mark}\n)(?:(?!<!-- table:).)*?(<!-- end -->)", re.DOTALL)
    # Markdown needs a blank line between a comment and a table.
    text, count = place.subn(lambda match: f"{match[1]}\n{table}\n\n{match[2]}", text)
    if count != 1:
        raise ValueError(
            f"{page} has {count} places <!-- table: {name} --> ... <!-- end -->; expected one"
        )
    with atomic_file(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
