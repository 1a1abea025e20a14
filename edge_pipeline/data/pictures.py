"""Data sets of pictures, from which captures are synthesised, and mixtures of data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from edge_pipeline.errors import InputError, first_fault
from edge_pipeline.registry import DATASETS

__all__ = [
    "Dataset",
    "DatasetOptions",
    "Mixture",
    "Pictures",
    "load_mixture",
    "load_pictures",
    "parsed_options",
]

RGB8 = NDArray[np.uint8]


class DatasetOptions(BaseModel):
    """Base class of the options of data sets; instances are frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Pictures:
    """Pictures in memory.

    Attributes:
        name: Name of the data set, for the model card.
        licence: Licence of the pictures.
        pictures: The pictures, each [H, W, 3], uint8, sRGB.
        names: Names of the pictures, in the same order.
    """

    name: str
    licence: str
    pictures: Sequence[RGB8]
    names: Sequence[str]


@dataclass(frozen=True)
class Mixture:
    """Several data sets and the share of crops from each.

    Attributes:
        parts: The data sets.
        shares: Share of each data set, positive; the sum is 1.
    """

    parts: tuple[Pictures, ...]
    shares: tuple[float, ...]

    def draw(self, rng: np.random.Generator) -> RGB8:
        """Draw a data set according to the shares, then one of its pictures uniformly."""
        part = self.parts[int(rng.choice(len(self.parts), p=self.shares))]
        return part.pictures[int(rng.integers(len(part.pictures)))]


class Dataset(Protocol):
    """Interface of a data set's module, which `registry.DATASETS` lists.

    Attributes:
        Options: A subclass of `DatasetOptions`.
    """

    Options: type[Any]

    def load(self, options: Any, /) -> Pictures:
        """Read or draw the pictures.

        Raises:
            InputError: If an option or a file cannot be used.
        """
        ...


def parsed_options(dataset: str, kind: type[Any], options: Mapping[str, Any]) -> Any:
    """Return checked options of a data set.

    Args:
        dataset: Name of the data set, for the message.
        kind: Subclass of `DatasetOptions`.
        options: Its fields.

    Raises:
        InputError: If an option is not valid.
    """
    try:
        return kind(**options)
    except ValidationError as error:
        raise InputError(
            f"data set {dataset}: {': '.join(first_fault(error, 'options'))}"
        ) from error


def load_pictures(dataset: str, options: Mapping[str, Any]) -> Pictures:
    """Load a registered data set of pictures.

    Args:
        dataset: Registered name of the data set.
        options: Fields of the `Options` of the data set's module.

    Raises:
        UnknownNameError: If no data set has this name.
        InputError: If an option is not valid or the data set contains no picture.
    """
    module = cast(Dataset, DATASETS.load(dataset))
    pictures = module.load(parsed_options(dataset, module.Options, options))
    if not pictures.pictures:
        raise InputError(f"data set {dataset} with {dict(options)} contains no picture")
    return pictures


def load_mixture(parts: Sequence[tuple[str, float, Mapping[str, Any]]]) -> Mixture:
    """Load several data sets.

    Args:
        parts: (data set, share, options) for each; shares are positive and are scaled to sum 1.
    """
    total = sum(share for _, share, _ in parts)
    return Mixture(
        tuple(load_pictures(dataset, options) for dataset, _, options in parts),
        tuple(share / total for _, share, _ in parts),
    )
