"""OASIS brains: a coronal slice of each of 414 subjects with 24 structures, published by Neurite.

`subjects.txt` lists the folders of the subjects, `OASIS_OAS1_0001_MR1` and so on. Each has
`slice_norm.nii.gz` (160 x 192, grey from 0 to 1, skull removed) and `slice_seg24.nii.gz` with the
labels 0 to 24, whose names are in `seg24_labels.txt`, a colour table of FreeSurfer. The first axis
of a file becomes the rows. The set has no split of its own; [AmortizedScaling] divides it into 331
subjects for training and validation (80 % and 20 %) and 83 for testing.

Source: D. S. Marcus et al., Open access series of imaging studies, Journal of Cognitive
Neuroscience 19 (9), 2007; A. Hoopes et al., HyperMorph, IPMI 2021, whose authors prepared the
slices.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.data.label_files import read_lines, read_table
from edge_pipeline.data.labelled import LabelledPictures, Sample, check_samples, set_root
from edge_pipeline.data.pictures import DatasetOptions
from edge_pipeline.data.sets import load_set
from edge_pipeline.data.splits import Shares, Split, split_of
from edge_pipeline.errors import InputError
from edge_pipeline.optional import require

__all__ = ["Options", "load"]

_STRUCTURES = 24
_ROUNDING = 1e-3  # interpolation may leave the range of a slice by this much


class Options(DatasetOptions):
    """Options of the data set.

    Attributes:
        folder: Folder with `subjects.txt`; None for the set's place in the data root.
        shares: Shares of train, val and test, which a hash of the subjects' names draws.
    """

    folder: Path | None = None
    shares: Shares = (0.64, 0.16, 0.2)


def load(options: Options, split: Split) -> LabelledPictures:
    """Find the samples of a split.

    Raises:
        InputError: If a list or a file of a subject is missing, or a label has no name.
        MissingExtraError: If nibabel is not installed.
    """
    root = set_root("oasis", options.folder, "subjects.txt")
    require("nibabel", "train", "the data set oasis")
    samples = (
        Sample(name, root / name / "slice_norm.nii.gz", (root / name / "slice_seg24.nii.gz",))
        for name in read_lines(root / "subjects.txt")
        if split_of(name, options.shares) == split
    )
    return LabelledPictures(
        name="oasis",
        licence=load_set("oasis").licence,
        labels=_labels(root / "seg24_labels.txt"),
        background=True,
        channels=1,
        samples=check_samples("oasis", samples),
        values={label: label for label in range(_STRUCTURES + 1)},
        read_picture=_read_picture,
        read_codes=_read_codes,
    )


def _labels(path: Path) -> tuple[str, ...]:
    """Read the names of the labels from lines such as `1 Left-Thalamus 0 118 14 0`."""
    names = {row[0]: row[1] for row in read_table(path, 2)}
    missing = [label for label in range(1, _STRUCTURES + 1) if str(label) not in names]
    if missing:
        raise InputError(f"{path} has no name for the label {missing[0]}; it needs 1 to 24")
    return ("background", *(names[str(label)] for label in range(1, _STRUCTURES + 1)))


def _read_picture(path: Path) -> NDArray[np.float32]:
    """Read a slice: [1, H, W], float32, 0 to 1."""
    values = _slice(path)
    if not np.isfinite(values).all() or values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
        raise InputError(
            f"{path} has values from {values.min():g} to {values.max():g}; a slice_norm of Neurite "
            "has 0 to 1"
        )
    picture: NDArray[np.float32] = np.clip(values, 0, 1).astype(np.float32)
    return picture[None]


def _read_codes(path: Path) -> NDArray[np.integer]:
    """Read the labels of a slice: [H, W]; some files store them as floating-point numbers."""
    values = _slice(path)
    codes: NDArray[np.int64] = np.rint(
        np.nan_to_num(values, nan=-1.0, posinf=-1.0, neginf=-1.0)
    ).astype(np.int64)
    if (codes != values).any():
        raise InputError(
            f"{path} has the label {values[codes != values][0]:g}; labels are integers"
        )
    return codes


def _slice(path: Path) -> NDArray[Any]:
    """Read the only slice of a NIfTI file: [H, W]."""
    nibabel = require("nibabel", "train", "the data set oasis")
    faults = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zlib.error)
    own = (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError)
    try:
        values = np.asarray(nibabel.load(path).dataobj)
    except (*faults, *own) as error:
        raise InputError(
            f"{path} cannot be read as a NIfTI file; it is damaged, missing or of another format"
        ) from error
    while values.ndim > 2 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 2 or values.size == 0:
        raise InputError(f"{path} has the shape {values.shape}; a slice has two axes")
    return values
