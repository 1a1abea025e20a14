"""The data set of the photographs in a folder (PNG, JPEG or TIFF)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from edge_pipeline.data.pictures import DatasetOptions, Pictures
from edge_pipeline.errors import InputError

__all__ = ["Options", "load"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


class Options(DatasetOptions):
    """Options that select photographs.

    Attributes:
        folder: Folder of the photographs; subfolders are not searched.
        licence: Licence of the photographs, which is written to the model card.
        only: File stems to include; all if empty.
        exclude: File stems to exclude, such as those of the validation set.
    """

    folder: Path
    licence: str
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def load(options: Options) -> Pictures:
    """Read the photographs into memory, in order of their names.

    Raises:
        InputError: If the folder does not exist or a picture cannot be read.
    """
    if not options.folder.is_dir():
        raise InputError(f"{options.folder} is not a folder; give a folder of photographs")
    paths = [
        path
        for path in sorted(options.folder.iterdir())
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
    return Pictures(options.folder.name, options.licence, pictures, [path.name for path in paths])
