"""Pictures with a label for each pixel: the interface of the data sets for segmentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.data.pictures import parsed_options
from edge_pipeline.data.sets import find_set, load_set
from edge_pipeline.data.splits import SPLITS, Split
from edge_pipeline.errors import InputError
from edge_pipeline.registry import LABELLED_SETS

__all__ = [
    "IGNORED",
    "LabelledPictures",
    "LabelledSet",
    "Sample",
    "check_present",
    "check_samples",
    "load_labelled",
    "set_folder",
    "set_root",
]

IGNORED = 255  # in a mask: the pixel has no label, and neither loss nor metrics count it


@dataclass(frozen=True)
class Sample:
    """The files of a picture and its mask.

    Attributes:
        name: Name of the sample, unique in its data set.
        picture: File of the picture.
        masks: Files of the mask; several are merged, and the largest label is kept.
    """

    name: str
    picture: Path
    masks: tuple[Path, ...]


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures and their masks, which are read from files when they are requested.

    Instances can be pickled, so that other processes read samples, too.

    Attributes:
        name: Name of the data set.
        licence: Licence of the pictures and masks, for the model card.
        labels: Names of the labels; the index is the value in a mask. 2 to 254 labels.
        background: Whether label 0 is the background, which metrics leave out.
        channels: Channels of a picture: 3 (sRGB), or 1.
        samples: The files, in a fixed order.
        values: Label, or `IGNORED`, of each value that the mask files may contain (0 to 255).
        read_picture: Reads a picture's file: [C, H, W], float32, 0 to 1.
        read_codes: Reads a mask's file: [H, W], integers.
    """

    name: str
    licence: str
    labels: tuple[str, ...]
    background: bool
    channels: int
    samples: tuple[Sample, ...]
    values: Mapping[int, int]
    read_picture: Callable[[Path], NDArray[np.float32]]
    read_codes: Callable[[Path], NDArray[np.integer]]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def names(self) -> Sequence[str]:
        """Names of the samples, in their order."""
        return [sample.name for sample in self.samples]

    def read(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Read and check a picture and its mask.

        Args:
            index: Position of the sample.

        Returns:
            The picture [C, H, W], float32, 0 to 1, and the mask [H, W], uint8, with the labels
            0 to `len(labels) - 1` and `IGNORED`.

        Raises:
            InputError: If a file cannot be read, the sizes differ, or the mask contains a value
                that is no label of the set.
        """
        sample = self.samples[index]
        picture = self.read_picture(sample.picture)
        mask: NDArray[np.uint8] | None = None
        for path in sample.masks:
            found = self._labels_of(self.read_codes(path), path)
            _check_sizes(picture, sample.picture, found, path)
            mask = found if mask is None else np.maximum(mask, found)
        if mask is None:
            raise InputError(f"the picture {sample.picture} has no mask")
        return picture, mask

    @cached_property
    def _table(self) -> NDArray[np.int16]:
        """Label of each value; -1 for values that are not permitted."""
        table = np.full(256, -1, np.int16)
        table[list(self.values)] = list(self.values.values())
        return table

    def _labels_of(self, codes: NDArray[np.integer], path: Path) -> NDArray[np.uint8]:
        outside = (codes < 0) | (codes > 255)
        labels = self._table[np.where(outside, 0, codes)]
        wrong = outside | (labels < 0)
        if wrong.any():
            raise InputError(
                f"mask {path} has the value {int(codes[wrong][0])}, which is no label of "
                f"{self.name}; its values are {_ranges(self.values)}"
            )
        return labels.astype(np.uint8)


class LabelledSet(Protocol):
    """Interface of a module of a labelled data set, which `registry.LABELLED_SETS` lists.

    Attributes:
        Options: A subclass of `DatasetOptions`.
    """

    Options: type[Any]

    def load(self, options: Any, split: Split, /) -> LabelledPictures:
        """Find the samples of a split.

        Raises:
            InputError: If an option, a folder or a list of files cannot be used.
        """
        ...


def load_labelled(dataset: str, split: str, options: Mapping[str, Any]) -> LabelledPictures:
    """Find the samples of a split of a registered labelled data set.

    No picture is read, but all files have to exist.

    Args:
        dataset: Registered name of the data set.
        split: `train`, `val` or `test`.
        options: Fields of the `Options` of the data set's module.

    Raises:
        UnknownNameError: If no data set has this name.
        InputError: If the split or an option is not valid, a file is missing, or the split contains
            no picture.
    """
    if split not in SPLITS:
        raise InputError(f"no split is called {split!r}; choose from {', '.join(SPLITS)}")
    module = cast(LabelledSet, LABELLED_SETS.load(dataset))
    pictures = module.load(parsed_options(dataset, module.Options, options), split)
    if not pictures.samples:
        raise InputError(
            f"the split {split} of the data set {dataset} contains no picture; "
            "give other shares, another split, or more pictures"
        )
    _check_names(pictures)
    return pictures


def set_folder(name: str, folder: Path | None) -> Path:
    """Return the folder of a data set: the given one, or the set's place in the data root.

    Raises:
        InputError: If the folder does not exist; the message says where to get the set.
    """
    if folder is None:
        return find_set(name)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; get {name} from {load_set(name).home}")
    return folder


def set_root(name: str, folder: Path | None, has: str, *nested: str) -> Path:
    """Return the folder of a data set that contains a certain file or folder.

    Args:
        name: Name of the data set's table.
        folder: The folder that the user gave; None for the set's place in the data root.
        has: Path that the root of the set contains.
        nested: Folders of the set's archive, in which the root may be.

    Raises:
        InputError: If the path is in none of the folders; the message says where to get the set.
    """
    place = set_folder(name, folder)
    for root in (place, *(place / below for below in nested)):
        if (root / has).exists():
            return root
    raise InputError(f"{place / has} is missing; get {name} from {load_set(name).home}")


def check_present(name: str, paths: Iterable[Path]) -> None:
    """Raise an error if one of the files or folders of a data set does not exist.

    Args:
        name: Name of the data set's table.
        paths: The files and folders.

    Raises:
        InputError: See above; the message has the first missing path and the home of the set.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} is missing; get {name} from {load_set(name).home}")


def check_samples(name: str, samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """Return the samples of a data set after a check that their files exist.

    Args:
        name: Name of the data set's table.
        samples: Samples from a list of the set.

    Raises:
        InputError: If a file does not exist; the message says where to get the set.
    """
    found = tuple(samples)
    for sample in found:
        check_present(name, (sample.picture, *sample.masks))
    return found


def _check_names(pictures: LabelledPictures) -> None:
    counts = Counter(pictures.names)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise InputError(
            f"the data set {pictures.name} has {counts[twice[0]]} pictures called {twice[0]}; "
            "each needs a name of its own"
        )


def _check_sizes(
    picture: NDArray[np.float32], path: Path, mask: NDArray[np.uint8], mask_path: Path
) -> None:
    height, width = picture.shape[1:]
    if mask.shape != (height, width):
        rows, columns = mask.shape
        raise InputError(
            f"mask {mask_path} has {columns} x {rows} pixels and its picture {path} has "
            f"{width} x {height}; both need the same size"
        )


def _ranges(values: Iterable[int]) -> str:
    """Write sorted integers as ranges, such as `0 to 20, 255`."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    texts = [f"{first} to {last}" if last > first else f"{first}" for first, last in runs]
    return ", ".join(texts)
