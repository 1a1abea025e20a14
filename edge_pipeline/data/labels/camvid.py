"""CamVid: street scenes with eleven labels, in the layout of the SegNet tutorial.

The folders `train`, `val` and `test` have the pictures, and `trainannot`, `valannot` and `testannot`
have the masks with the values 0 to 10, and 11 for pixels without a label. Pictures are PNG as
published, or JPEG.

Source: G. Brostow, J. Fauqueur, R. Cipolla, Semantic object classes in video, Pattern Recognition
Letters 30 (2), 2009; V. Badrinarayanan, A. Kendall, R. Cipolla, SegNet, TPAMI 39 (12), 2017.
"""

from __future__ import annotations

from pathlib import Path

from edge_pipeline.data.label_files import paired, read_codes, read_rgb
from edge_pipeline.data.labelled import IGNORED, LabelledPictures, check_present, set_folder
from edge_pipeline.data.pictures import DatasetOptions
from edge_pipeline.data.sets import load_set
from edge_pipeline.data.splits import Split

__all__ = ["Options", "load"]

_LABELS = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)


class Options(DatasetOptions):
    """Options of the data set.

    Attributes:
        folder: Folder of the set; None for its place in the data root.
    """

    folder: Path | None = None


def load(options: Options, split: Split) -> LabelledPictures:
    """Find the samples of a split, each 480 x 360 pixels as published.

    Raises:
        InputError: If the folder of the split is missing, or a picture has no mask.
    """
    folder = set_folder("camvid", options.folder)
    places = folder / split, folder / f"{split}annot"
    check_present("camvid", places)
    return LabelledPictures(
        name="camvid",
        licence=load_set("camvid").licence,
        labels=_LABELS,
        background=False,
        channels=3,
        samples=tuple(paired(*places)),
        values={**{label: label for label in range(len(_LABELS))}, len(_LABELS): IGNORED},
        read_picture=read_rgb,
        read_codes=read_codes,
    )
