"""PASCAL VOC 2012 with 20 labels and background, alone or with the masks of SBD.

`VOCdevkit/VOC2012` has `JPEGImages`, `SegmentationClass` (palettes, whose indices are the labels;
255 is ignored) and the lists `ImageSets/Segmentation/train.txt` and `val.txt`. With the option
`augmented`, the training split is the usual list `trainaug`: the training list of VOC and both
lists of SBD (`benchmark_RELEASE/dataset` with `img`, `cls`, `train.txt` and `val.txt`), without
the validation list of VOC: 10582 pictures. A picture of both has the mask of VOC, which is finer.
The validation split is always that of VOC; the labels of its test split are not public.

Source: M. Everingham et al., The PASCAL visual object classes challenge, IJCV 111, 2015; B.
Hariharan, P. Arbelaez, L. Bourdev, S. Maji, J. Malik, Semantic contours from inverse detectors,
ICCV 2011.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
from edge_pipeline.data.splits import Split
from edge_pipeline.errors import InputError
from edge_pipeline.optional import require

__all__ = ["Options", "load"]

_LABELS = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv monitor",
)


class Options(DatasetOptions):
    """Options of the data set.

    Attributes:
        folder: Folder with `VOCdevkit`, or one of the folders below; None for the set's place in
            the data root.
        augmented: Whether the training split includes the pictures of SBD.
        sbd_folder: Folder with `benchmark_RELEASE`, or one of the folders below; None for the place
            of SBD in the data root.
    """

    folder: Path | None = None
    augmented: bool = False
    sbd_folder: Path | None = None


def load(options: Options, split: Split) -> LabelledPictures:
    """Find the samples of the split `train` or `val`.

    Raises:
        InputError: If a list, picture or mask is missing, or the split is `test`.
    """
    if split == "test":
        raise InputError("the labels of the test split of voc are not public; use the split val")
    lists = "ImageSets/Segmentation"
    root = set_root("voc", options.folder, lists, "VOCdevkit/VOC2012", "VOC2012")
    names = _names(root / lists / f"{split}.txt")
    samples = check_samples("voc", (_sample(root, name) for name in names))
    licence = load_set("voc").licence
    if options.augmented and split == "train":
        known = {*names, *_names(root / lists / "val.txt")}
        samples += _sbd(options.sbd_folder, known)
        licence += f"; {load_set('sbd').licence}"
    return LabelledPictures(
        name="voc",
        licence=licence,
        labels=_LABELS,
        background=True,
        channels=3,
        samples=samples,
        values={label: label for label in range(len(_LABELS))} | {IGNORED: IGNORED},
        read_picture=read_rgb,
        read_codes=_read_mask,
    )


def _names(path: Path) -> list[str]:
    return [row[0] for row in read_table(path, 1)]


def _sample(root: Path, name: str) -> Sample:
    mask = root / "SegmentationClass" / f"{name}.png"
    return Sample(name, root / "JPEGImages" / f"{name}.jpg", (mask,))


def _sbd(folder: Path | None, known: set[str]) -> tuple[Sample, ...]:
    """Return the samples of both lists of SBD except those that are known, sorted by name."""
    root = set_root("sbd", folder, "cls", "benchmark_RELEASE/dataset", "dataset")
    names = {*_names(root / "train.txt"), *_names(root / "val.txt")} - known
    samples = (
        Sample(name, root / "img" / f"{name}.jpg", (root / "cls" / f"{name}.mat",))
        for name in sorted(names)
    )
    return check_samples("sbd", samples)


def _read_mask(path: Path) -> NDArray[np.integer]:
    """Read a mask of VOC (PNG) or of SBD (`GTcls.Segmentation` of a MATLAB file)."""
    if path.suffix != ".mat":
        return read_codes(path)
    matlab = require("scipy.io", "train", "reading the masks of SBD")
    faults = (OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, zlib.error)
    try:
        codes = matlab.loadmat(path, variable_names=["GTcls"])["GTcls"][0, 0]["Segmentation"]
    except (*faults, matlab.matlab.MatReadError) as error:
        raise InputError(
            f"{path} cannot be read as a mask of SBD; it is damaged, missing or of another format"
        ) from error
    if not isinstance(codes, np.ndarray) or codes.ndim != 2 or codes.dtype.kind not in "iu":
        raise InputError(f"{path} has no matrix of integers in GTcls.Segmentation; get SBD again")
    return codes
