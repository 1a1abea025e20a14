"""Data sets that are too large for the package: their tables, and the folder that holds them."""

from __future__ import annotations

import csv
import os
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_pipeline.errors import InputError
from edge_pipeline.files import cache_folder

__all__ = ["ROOT_VARIABLE", "DataFile", "DataSet", "data_root", "find_set", "load_set", "set_names"]

ROOT_VARIABLE = "EDGE_PIPELINE_DATA"
_TABLES = Path(__file__).parent / "sets"


@dataclass(frozen=True)
class DataFile:
    """A file of a data set.

    Attributes:
        path: Path in the set's folder.
        source: URL of the file; in a set with an archive, the pattern of its members. Several
            members are masks of one picture, and are merged by their maximum.
        check: How the file is recognised: `sha256:` with the hash of the file, `pixels:` with that
            of its decoded pixels, or `look:` with a thumbnail, see `data/fetch.py`.
    """

    path: str
    source: str
    check: str


class DataSet(BaseModel):
    """A data set and its licence.

    Attributes:
        name: Name of the set.
        title: What it contains, in a few words.
        licence: Name of the licence, for model cards.
        terms: Terms of use, shown before anything is fetched.
        home: Public page of the set.
        folder: Folder of the set in the data root.
        archive: URL of a ZIP file with all files; None if each file has a URL.
        short_side: Rows or columns, whichever are fewer, that pictures are scaled down to; None to
            keep the files as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    licence: str
    terms: str
    home: str
    folder: str
    archive: str | None = None
    short_side: int | None = Field(default=None, ge=64)

    @cached_property
    def files(self) -> tuple[DataFile, ...]:
        """The files of the set; empty if it has no public home to fetch them from."""
        table = _TABLES / f"{self.name}.csv"
        if not table.exists():
            return ()
        with table.open(encoding="utf-8", newline="") as rows:
            return tuple(DataFile(**row) for row in csv.DictReader(rows))

    @property
    def place(self) -> Path:
        """The folder of the set in the data root, which may not exist."""
        return data_root() / self.folder


def data_root() -> Path:
    """Return the folder of data sets: `EDGE_PIPELINE_DATA`, or one in the user's cache folder."""
    given = os.environ.get(ROOT_VARIABLE)
    if given:
        return Path(given).expanduser()
    return cache_folder("data")


def set_names() -> list[str]:
    """Return the names of all data sets, in alphabetical order."""
    return sorted(path.stem for path in _TABLES.glob("*.toml"))


def load_set(name: str) -> DataSet:
    """Return the table of a data set.

    Raises:
        InputError: If no set has this name.
    """
    if name not in set_names():
        raise InputError(f"no data set is called {name!r}; choose from {', '.join(set_names())}")
    path = _TABLES / f"{name}.toml"
    try:
        return DataSet(name=name, **tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise InputError(f"{path} is damaged; install edge-pipeline again") from error


def find_set(name: str) -> Path:
    """Return the folder of a data set.

    Raises:
        InputError: If no set has this name, or its folder is not in the data root.
    """
    known = load_set(name)
    if known.place.is_dir():
        return known.place
    if known.files:
        remedy = f"fetch it with: edge-pipeline data fetch {name}"
    else:
        remedy = f"get it from {known.home} and place it there"
    raise InputError(f"the data set {name} is not in {known.place}; {remedy}")
