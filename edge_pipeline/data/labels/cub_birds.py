"""Caltech-UCSD Birds-200-2011: birds, foreground against background.

`images.txt` numbers the pictures of `images/SPECIES`, and `train_test_split.txt` has 1 for each of
the 5994 training pictures and 0 for each of the 5794 test pictures; the validation split is a part
of the former. `segmentations/SPECIES` comes as an archive of its own and is found inside
`CUB_200_2011` or beside it. Its grey values count in steps of 51 how many of five annotators
marked a pixel; three or more make it bird, as in the work of the authors of [AmortizedScaling].

Source: C. Wah, S. Branson, P. Welinder, P. Perona, S. Belongie, The Caltech-UCSD Birds-200-2011
Dataset, CNS-TR-2011-001, 2011; [AmortizedScaling], section 4.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from edge_pipeline.data.label_files import read_codes, read_rgb, read_table
from edge_pipeline.data.labelled import LabelledPictures, Sample, check_samples, set_root
from edge_pipeline.data.pictures import DatasetOptions
from edge_pipeline.data.sets import load_set
from edge_pipeline.data.splits import Split, Validation, split_of
from edge_pipeline.errors import InputError

__all__ = ["Options", "load"]

_THREE_OF_FIVE = 3 * 51


class Options(DatasetOptions):
    """Options of the data set.

    Attributes:
        folder: Folder with `images.txt`, or the folder above; None for the set's place in the data
            root.
        validation: Share of the published training split that becomes the validation split.
    """

    folder: Path | None = None
    validation: Validation = 0.2


def load(options: Options, split: Split) -> LabelledPictures:
    """Find the samples of a split.

    Raises:
        InputError: If a list, picture or mask is missing, or the lists contradict each other.
    """
    root = set_root("cub_birds", options.folder, "images.txt", "CUB_200_2011")
    shares = 1 - options.validation, options.validation, 0.0
    samples = [
        _sample(root, name)
        for name, trained in _listed(root)
        if (split_of(name, shares) if trained else "test") == split
    ]
    return LabelledPictures(
        name="cub_birds",
        licence=load_set("cub_birds").licence,
        labels=("background", "bird"),
        background=True,
        channels=3,
        samples=check_samples("cub_birds", samples),
        values={value: int(value >= _THREE_OF_FIVE) for value in range(256)},
        read_picture=read_rgb,
        read_codes=read_codes,
    )


def _listed(root: Path) -> list[tuple[str, bool]]:
    """Return each picture's name (`SPECIES/PICTURE.jpg`) and whether it is for training."""
    trained = {row[0]: row[1] for row in read_table(root / "train_test_split.txt", 2)}
    found = []
    for number, name, *_ in read_table(root / "images.txt", 2):
        if trained.get(number) not in ("0", "1"):
            raise InputError(
                f"{root / 'train_test_split.txt'} has {trained.get(number)!r} for the picture "
                f"{number} ({name}); it needs 0 or 1"
            )
        found.append((name, trained[number] == "1"))
    return found


def _sample(root: Path, name: str) -> Sample:
    mask = PurePosixPath("segmentations", name).with_suffix(".png")
    inside, beside = root / mask, root.parent / mask
    return Sample(
        name,
        root / "images" / name,
        (beside if beside.exists() and not inside.exists() else inside,),
    )
