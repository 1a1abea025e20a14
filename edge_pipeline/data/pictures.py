"""Pictures to synthesise captures from: what every picture data set gives, and mixing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from edge_pipeline.errors import InputError
from edge_pipeline.registry import DATASETS

__all__ = ["Dataset", "DatasetOptions", "Mixture", "Pictures", "load_mixture", "load_pictures"]

RGB8 = NDArray[np.uint8]


class DatasetOptions(BaseModel):
    """Base of every data set's options: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Pictures:
    """Pictures in memory.

    Attributes:
        name: of the data set, for the model card.
        licence: under which they may be used.
        pictures: each [H, W, 3], uint8, sRGB.
        names: of the pictures, in the same order.
    """

    name: str
    licence: str
    pictures: Sequence[RGB8]
    names: Sequence[str]


@dataclass(frozen=True)
class Mixture:
    """Several data sets with the share of crops that each gives.

    Attributes:
        parts: the data sets.
        shares: positive, sum 1.
    """

    parts: tuple[Pictures, ...]
    shares: tuple[float, ...]

    def draw(self, rng: np.random.Generator) -> RGB8:
        """One picture: a data set by its share, then any of its pictures alike."""
        part = self.parts[int(rng.choice(len(self.parts), p=self.shares))]
        return part.pictures[int(rng.integers(len(part.pictures)))]


class Dataset(Protocol):
    """A module of this folder, listed in `registry.DATASETS`.

    Attributes:
        Options: a subclass of `DatasetOptions`.
    """

    Options: type[Any]

    def load(self, options: Any, /) -> Pictures:
        """Read or draw the pictures.

        Raises:
            InputError: an option or a file cannot be used.
        """
        ...


def load_pictures(dataset: str, options: Mapping[str, Any]) -> Pictures:
    """Load a registered data set of pictures.

    Args:
        dataset: its registered name.
        options: as its module's `Options` takes them.

    Raises:
        UnknownNameError: no such data set.
        InputError: options that it does not take, or no picture found.
    """
    module = cast(Dataset, DATASETS.load(dataset))
    try:
        chosen = module.Options(**options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"data set {dataset}: {where}: {first['msg']}") from error
    pictures = module.load(chosen)
    if not pictures.pictures:
        raise InputError(f"data set {dataset} with {dict(options)} holds no picture")
    return pictures


def load_mixture(parts: Sequence[tuple[str, float, Mapping[str, Any]]]) -> Mixture:
    """Load several data sets.

    Args:
        parts: (data set, share, options); shares are positive and are scaled to sum 1.
    """
    total = sum(share for _, share, _ in parts)
    return Mixture(
        tuple(load_pictures(dataset, options) for dataset, _, options in parts),
        tuple(share / total for _, share, _ in parts),
    )
