"""The data set of the photographs in a folder (PNG, JPEG or TIFF)."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import model_validator

from edge_pipeline.data.pictures import DatasetOptions, Pictures
from edge_pipeline.data.sets import find_set, load_set
from edge_pipeline.errors import InputError

__all__ = ["Options", "load"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


class Options(DatasetOptions):
    """Options of the data set; either `folder` and `licence`, or `set`.

    Attributes:
        folder: Folder of the photographs; subfolders are not searched.
        licence: Licence of the photographs, for the model card.
        set: Name of a data set in the data root, see `data/sets.py`.
        only: Stems of the files to read; if empty, all files are read.
        exclude: Stems of the files to skip, such as those for validation.
    """

    folder: Path | None = None
    licence: str | None = None
    set: str | None = None
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        own = self.folder is not None and self.licence is not None
        if (self.folder is None) != (self.licence is None) or own == (self.set is not None):
            raise ValueError("give either folder and licence, or set")
        return self

    def place(self) -> tuple[Path, str]:
        """Return the folder of the photographs and their licence."""
        if self.set is not None:
            return find_set(self.set), load_set(self.set).licence
        return self.folder or Path(), self.licence or ""


def load(options: Options) -> Pictures:
    """Read the photographs into memory, in the order of their names.

    Raises:
        InputError: If the folder or the data set does not exist, or a file cannot be read.
    """
    folder, licence = options.place()
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder of photographs")
    paths = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _SUFFIXES
        and (not options.only or path.stem in options.only)
        and path.stem not in options.exclude
    ]
    pictures = []
    for path in paths:
        try:
            with Image.open(path) as image:
                pictures.append(np.asarray(image.convert("RGB")))
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(f"{path} cannot be read as a picture: {error}") from error
    return Pictures(folder.name, licence, pictures, [path.name for path in paths])
