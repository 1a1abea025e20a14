"""A user's own pictures: a folder with `images` and `masks`, paired by the names of the files.

If the folder has a subfolder `train`, its subfolders `train`, `val` and `test` are the splits,
each with `images` and `masks`. If it has none, a hash of the pictures' names draws the splits.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from edge_pipeline.data.label_files import paired, read_codes, read_rgb
from edge_pipeline.data.labelled import IGNORED, LabelledPictures, Sample
from edge_pipeline.data.pictures import DatasetOptions
from edge_pipeline.data.splits import Shares, Split, split_of
from edge_pipeline.errors import InputError

__all__ = ["Options", "load"]

_WHITE = 255


class Options(DatasetOptions):
    """Options of the data set.

    Attributes:
        folder: Folder with `images` and `masks`.
        licence: Licence of the pictures, for the model card.
        labels: Names of the labels in the order of the masks' values 0, 1, 2 and so on; 2 to 254.
            For two labels, masks may have the values 0 and 255 instead of 0 and 1.
        background: Whether label 0 is the background, which metrics leave out.
        ignored: Value of pixels without a label; None if there are none.
        shares: Shares of train, val and test, which a hash of the pictures' names draws.
    """

    folder: Path
    licence: str
    labels: Annotated[tuple[str, ...], Field(min_length=2, max_length=254)]
    background: bool = True
    ignored: Annotated[int, Field(ge=0, le=255)] | None = None
    shares: Shares = (0.7, 0.15, 0.15)

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) != len(labels) or not all(label.strip() for label in labels):
            raise ValueError(f"the names {labels} are not distinct, or one is empty")
        return labels

    def values(self) -> dict[int, int]:
        """Return the label of each value of the masks."""
        values = {label: label for label in range(len(self.labels))}
        if len(self.labels) == 2:
            values[_WHITE] = 1
        if self.ignored is not None:
            values[self.ignored] = IGNORED
        return values


def load(options: Options, split: Split) -> LabelledPictures:
    """Find the samples of a split.

    Raises:
        InputError: If a folder is missing, or a picture or mask has no partner.
    """
    if not options.folder.is_dir():
        raise InputError(f"{options.folder} is not a folder; give one with images and masks")
    two = len(options.labels) == 2 and options.ignored is None
    return LabelledPictures(
        name=options.folder.resolve().name,
        licence=options.licence,
        labels=options.labels,
        background=options.background,
        channels=3,
        samples=tuple(_samples(options, split)),
        values=options.values(),
        read_picture=partial(read_rgb, upright=True),
        read_codes=_read_two if two else read_codes,
    )


def _samples(options: Options, split: Split) -> list[Sample]:
    if (options.folder / "train").is_dir():
        own = options.folder / split
        return paired(own / "images", own / "masks")
    samples = paired(options.folder / "images", options.folder / "masks")
    return [sample for sample in samples if split_of(sample.name, options.shares) == split]


def _read_two(path: Path) -> NDArray[np.integer]:
    """Read a mask with the values 0 and 1 or 0 and 255, not with all three."""
    codes = read_codes(path)
    if (codes == 1).any() and (codes == _WHITE).any():
        raise InputError(
            f"mask {path} has the values 1 and 255; for two labels a mask has 0 and 1, or 0 and "
            "255; if 255 marks pixels without a label, give ignored: 255"
        )
    return codes
