"""Cityscapes: street scenes with the 19 labels of the benchmark.

`leftImg8bit/SPLIT/CITY` has the pictures and `gtFine/SPLIT/CITY` the masks: `_gtFine_labelIds.png`
with 34 values, of which 15 are ignored, or `_gtFine_labelTrainIds.png` with the values 0 to 18 and
255 if the former are absent. The published masks of `test` are empty.

Source: M. Cordts et al., The Cityscapes dataset for semantic urban scene understanding, CVPR 2016;
the values are those of the authors' cityscapesScripts, helpers/labels.py.
"""

from __future__ import annotations

from pathlib import Path

from edge_pipeline.data.label_files import read_codes, read_rgb
from edge_pipeline.data.labelled import (
    IGNORED,
    LabelledPictures,
    Sample,
    check_present,
    check_samples,
    set_root,
)
from edge_pipeline.data.pictures import DatasetOptions
from edge_pipeline.data.sets import load_set
from edge_pipeline.data.splits import Split
from edge_pipeline.errors import InputError

__all__ = ["Options", "load"]

# The labels in the order of their train IDs, with their values in `_labelIds.png`.
_IDS = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
_LABEL_IDS = dict.fromkeys(range(34), IGNORED) | {
    value: label for label, value in enumerate(_IDS.values())
}
_TRAIN_IDS = {label: label for label in range(len(_IDS))} | {IGNORED: IGNORED}
_PICTURE = "_leftImg8bit.png"


class Options(DatasetOptions):
    """Options of the data set.

    Attributes:
        folder: Folder with `leftImg8bit` and `gtFine`; None for the set's place in the data root.
    """

    folder: Path | None = None


def load(options: Options, split: Split) -> LabelledPictures:
    """Find the samples of a split.

    Raises:
        InputError: If a folder, picture or mask is missing, or the masks of `test` are the
            published ones, which have no labels.
    """
    root = set_root("cityscapes", options.folder, "leftImg8bit")
    pictures = root / "leftImg8bit" / split
    check_present("cityscapes", (pictures, root / "gtFine" / split))
    samples = _samples(root, split, "labelIds")
    check_present("cityscapes", _pictures_of_masks(root, split))
    values = _LABEL_IDS
    if not all(sample.masks[0].exists() for sample in samples):
        trained = _samples(root, split, "labelTrainIds")
        if all(sample.masks[0].exists() for sample in trained):
            samples, values = trained, _TRAIN_IDS
    found = LabelledPictures(
        name="cityscapes",
        licence=load_set("cityscapes").licence,
        labels=tuple(_IDS),
        background=False,
        channels=3,
        samples=check_samples("cityscapes", samples),
        values=values,
        read_picture=read_rgb,
        read_codes=read_codes,
    )
    if split == "test" and found.samples and (found.read(0)[1] == IGNORED).all():
        raise InputError(
            f"{found.samples[0].masks[0]} has no labels: those of the test split of cityscapes are "
            "not public; use the split val"
        )
    return found


def _pictures_of_masks(root: Path, split: Split) -> list[Path]:
    """Return the picture of each mask of a split; it may not exist."""
    pictures = root / "leftImg8bit" / split
    ends = ("_gtFine_labelIds.png", "_gtFine_labelTrainIds.png")
    return [
        pictures / mask.parent.name / f"{mask.name.removesuffix(end)}{_PICTURE}"
        for end in ends
        for mask in sorted((root / "gtFine" / split).glob(f"*/[!.]*{end}"))
    ]


def _samples(root: Path, split: Split, kind: str) -> list[Sample]:
    """Return all samples of a split with masks of a kind, which may not exist."""
    samples = []
    for path in sorted((root / "leftImg8bit" / split).glob(f"*/[!.]*{_PICTURE}")):
        name = path.name.removesuffix(_PICTURE)
        mask = root / "gtFine" / split / path.parent.name / f"{name}_gtFine_{kind}.png"
        samples.append(Sample(name, path, (mask,)))
    return samples
