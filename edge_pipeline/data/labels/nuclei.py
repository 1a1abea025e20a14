"""Nuclei in microscope pictures: foreground against background.

Two layouts are read: that of the Data Science Bowl 2018 (`stage1_train/ID/images/ID.png` and one
mask for each nucleus in `stage1_train/ID/masks`), whose masks are merged, and the merged copy that
`edge-pipeline data fetch nuclei` makes (`images`, `masks`). The set has no split of its own.

Source: J. C. Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data
Science Bowl, Nature Methods 16, 2019.
"""

from __future__ import annotations

from pathlib import Path

from edge_pipeline.data.label_files import (
    MASK_SUFFIXES,
    PICTURE_SUFFIXES,
    by_stem,
    paired,
    read_codes,
    read_rgb,
)
from edge_pipeline.data.labelled import LabelledPictures, Sample, set_folder
from edge_pipeline.data.pictures import DatasetOptions
from edge_pipeline.data.sets import load_set
from edge_pipeline.data.splits import Shares, Split, split_of
from edge_pipeline.errors import InputError

__all__ = ["Options", "load"]

# The merged copy names pictures by so many digits of their ID; so does `Sample.name` in both
# layouts, so that both have the same splits.
_DIGITS = 16


class Options(DatasetOptions):
    """Options of the data set.

    Attributes:
        folder: Folder of the set; None for its place in the data root.
        shares: Shares of train, val and test, which a hash of the pictures' names draws.
    """

    folder: Path | None = None
    shares: Shares = (0.7, 0.15, 0.15)


def load(options: Options, split: Split) -> LabelledPictures:
    """Find the samples of a split.

    Raises:
        InputError: If the folder is missing or has another layout.
    """
    samples = _samples(set_folder("nuclei", options.folder))
    return LabelledPictures(
        name="nuclei",
        licence=load_set("nuclei").licence,
        labels=("background", "nucleus"),
        background=True,
        channels=3,
        samples=tuple(s for s in samples if split_of(s.name, options.shares) == split),
        values={0: 0, 1: 1, 255: 1},
        read_picture=read_rgb,
        read_codes=read_codes,
    )


def _samples(folder: Path) -> list[Sample]:
    if (folder / "images").is_dir():
        return paired(folder / "images", folder / "masks")
    original = folder / "stage1_train" if (folder / "stage1_train").is_dir() else folder
    samples = [_sample(path.parent) for path in sorted(original.glob("*/images")) if path.is_dir()]
    if not samples:
        raise InputError(
            f"{folder} has neither the folders images and masks nor stage1_train/ID/images; get "
            f"nuclei from {load_set('nuclei').home}"
        )
    return samples


def _sample(folder: Path) -> Sample:
    pictures = list(by_stem(folder / "images", PICTURE_SUFFIXES).values())
    masks = list(by_stem(folder / "masks", MASK_SUFFIXES).values())
    if len(pictures) != 1 or not masks:
        raise InputError(
            f"{folder} has {len(pictures)} pictures and {len(masks)} masks; it needs one picture "
            "in images and at least one mask in masks"
        )
    return Sample(folder.name[:_DIGITS], pictures[0], tuple(masks))
