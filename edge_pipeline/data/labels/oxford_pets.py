"""The Oxford-IIIT Pet data set: cats and dogs, foreground against background.

`images` has the pictures (some are PNG or GIF files whose name ends in `.jpg`),
`annotations/trimaps` the masks: 1 pet, 2 background, 3 border (not classified).
`annotations/trainval.txt` (3680 pictures) and `annotations/test.txt` (3669) are the published
splits; the validation split is a part of the former.

Source: O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, Cats and dogs, CVPR 2012;
[AmortizedScaling], section 4, whose authors count the border as pet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edge_pipeline.data.label_files import read_codes, read_rgb, read_table
from edge_pipeline.data.labelled import (
    IGNORED,
    LabelledPictures,
    Sample,
    check_samples,
    set_root,
)
from edge_pipeline.data.pictures import DatasetOptions
from edge_pipeline.data.sets import load_set
from edge_pipeline.data.splits import Split, Validation, split_of

__all__ = ["Options", "load"]

_BORDER = {"pet": 1, "background": 0, "ignored": IGNORED}


class Options(DatasetOptions):
    """Options of the data set.

    Attributes:
        folder: Folder with `images` and `annotations`; None for the set's place in the data root.
        border: Label of the border between pet and background, which the set leaves open.
        validation: Share of the published training split that becomes the validation split.
    """

    folder: Path | None = None
    border: Literal["pet", "background", "ignored"] = "pet"
    validation: Validation = 0.2


def load(options: Options, split: Split) -> LabelledPictures:
    """Find the samples of a split.

    Raises:
        InputError: If a list, picture or mask is missing.
    """
    root = set_root("oxford_pets", options.folder, "annotations", "oxford-iiit-pet")
    listed = root / "annotations" / ("test.txt" if split == "test" else "trainval.txt")
    names = [row[0] for row in read_table(listed, 4)]
    if split != "test":
        shares = 1 - options.validation, options.validation, 0.0
        names = [name for name in names if split_of(name, shares) == split]
    samples = (
        Sample(
            name,
            root / "images" / f"{name}.jpg",
            (root / "annotations" / "trimaps" / f"{name}.png",),
        )
        for name in names
    )
    return LabelledPictures(
        name="oxford_pets",
        licence=load_set("oxford_pets").licence,
        labels=("background", "pet"),
        background=True,
        channels=3,
        samples=check_samples("oxford_pets", samples),
        values={1: 1, 2: 0, 3: _BORDER[options.border]},
        read_picture=read_rgb,
        read_codes=read_codes,
    )
