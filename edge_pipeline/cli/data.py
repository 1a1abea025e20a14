"""`edge-pipeline data`: list the data sets for training and measuring, and fetch them."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

__all__ = ["command"]


class Action(StrEnum):
    """Actions of the verb."""

    LIST = "list"
    FETCH = "fetch"


def command(
    action: Annotated[Action, typer.Argument(help="list all data sets, or fetch one of them.")],
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the data set to fetch.")
    ] = None,
    *,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="Mirror: a folder with the set's files, or its archive."
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Accept the terms without a question.")
    ] = False,
) -> None:
    """List the data sets, or fetch one from its public home.

    Data sets are stored in the folder that the environment variable EDGE_PIPELINE_DATA names; the
    default is `edge-pipeline/data` in the user's cache folder. The terms of use are shown first.
    Files that are there and right are not fetched again.
    """
    from edge_pipeline.errors import InputError

    if action is Action.LIST:
        if name is not None or source is not None or yes:
            raise InputError("data list takes no name and no options")
        _list()
        return
    if name is None:
        raise InputError("data fetch needs the name of a data set; see: edge-pipeline data list")
    _fetch(name, source, accepted=yes)


def _list() -> None:
    from edge_pipeline.data.sets import data_root, load_set, set_names

    typer.echo(f"data root: {data_root()}")
    for known in map(load_set, set_names()):
        state = "present" if known.place.is_dir() else "absent"
        typer.echo(f"{known.name} ({state}; {known.licence}): {known.title}")


def _fetch(name: str, source: str | None, *, accepted: bool) -> None:
    from edge_pipeline.data.fetch import check_fetchable, fetch
    from edge_pipeline.data.sets import load_set
    from edge_pipeline.errors import InputError

    known = load_set(name)
    check_fetchable(known)
    typer.echo(f"{known.name}: {known.title}\n{known.terms.strip()}")
    if not accepted:
        if not sys.stdin.isatty():
            raise InputError("the terms are not accepted; give --yes to accept them")
        if not typer.confirm("Do you accept these terms?"):
            raise InputError("the terms are not accepted, and nothing was fetched")
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=len(known.files))
        count = fetch(known, source=source, on_file=lambda _: bar.advance(task))
        bar.update(task, completed=len(known.files))
    typer.echo(f"fetched {count} of {len(known.files)} files into {known.place}")
