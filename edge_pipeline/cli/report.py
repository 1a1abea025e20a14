"""`edge-pipeline report`: write a page, CSV or Markdown on records of measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_pipeline.errors import InputError
from edge_pipeline.files import atomic_file
from edge_pipeline.record import Record, read_records
from edge_pipeline.report.measured.page import page_of
from edge_pipeline.report.measured.text import csv_of, markdown_of
from edge_pipeline.report.terminal import console

__all__ = ["command"]

_WRITERS = {".html": page_of, ".csv": csv_of, ".md": markdown_of}


def command(
    records: Annotated[
        list[Path], typer.Argument(metavar="RECORDS...", help="Files that bench --records wrote.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="File to write; its ending is .html, .csv or .md.",
        ),
    ],
) -> None:
    """Write a report on measurements: a page that works offline, a table as CSV, or Markdown.

    Records of several files and devices are shown together. Programs with wrong outputs are marked
    and are on no Pareto front; emulated devices have a section of their own.
    """
    write = _WRITERS.get(output.suffix.lower())
    if write is None:
        raise InputError(f"the report {output} must end with {', '.join(_WRITERS)}")
    text = write(_read(records))
    with atomic_file(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    console().print(f"wrote {output}", markup=False, highlight=False, soft_wrap=True)


def _read(paths: list[Path]) -> list[Record]:
    """Return the records of files; a file that is given twice is read once."""
    found: list[Record] = []
    for path in dict.fromkeys(paths):
        own = read_records(path)
        if not own:
            raise InputError(
                f"{path} contains no record; measure with `edge-pipeline bench --records {path}`"
            )
        found += own
    return found
