"""The pictures of a sweep: a registered labelled data set, or a folder with images and masks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_pipeline.data.labelled import LabelledPictures, load_labelled
from edge_pipeline.data.splits import SPLITS
from edge_pipeline.errors import InputError
from edge_pipeline.registry import LABELLED_SETS

__all__ = ["Pictures", "open_pictures", "parse_options"]

ALL = "all"
"""Name of the split of a folder without splits."""


@dataclass(frozen=True)
class Pictures:
    """The pictures to evaluate on, and how the user named them.

    Attributes:
        data: Labelled pictures.
        dataset: Registered name of the data set, or the path of the folder.
        options: Options of the data set, ready for JSON.
        split: Name of the split; `all` for a folder without splits.
    """

    data: LabelledPictures
    dataset: str
    options: Mapping[str, Any]
    split: str


def open_pictures(
    data: str, split: str, options: Mapping[str, Any], labels: tuple[str, ...]
) -> Pictures:
    """Find the pictures of a split of a data set, or of a folder.

    Args:
        data: Registered name of a labelled data set; or a folder with the subfolders `images` and
            `masks`, of which all pictures are used, or with a subfolder of these for each split.
        split: `train`, `val` or `test`.
        options: Options of the data set; those of `folder` for a folder.
        labels: Names of the labels of a folder if the options have none.

    Raises:
        InputError: If there is no such data set or folder, or it cannot be used.
    """
    if data in LABELLED_SETS:
        return Pictures(load_labelled(data, split, options), data, options, split)
    folder = Path(data)
    if not folder.is_dir():
        raise InputError(
            f"--data {data} is neither a folder nor a labelled data set; the data sets are "
            f"{', '.join(LABELLED_SETS.names())}"
        )
    if split not in SPLITS:
        raise InputError(f"no split is called {split!r}; choose from {', '.join(SPLITS)}")
    complete: dict[str, Any] = {"licence": "not stated", "labels": labels, **options}
    complete["folder"] = folder
    whole = not (folder / "train").is_dir()
    if whole:
        complete["shares"] = tuple(float(name == split) for name in SPLITS)
    found = load_labelled("folder", split, complete)
    return Pictures(found, data, options, ALL if whole else split)


def parse_options(texts: Mapping[str, str]) -> dict[str, Any]:
    """Parse the values of options: JSON where it is valid, such as `["sky", "road"]`, else text.

    Args:
        texts: Values by name.
    """

    def parsed(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    return {name: parsed(text) for name, text in texts.items()}
