"""Splits of a data set into training, validation and test by a hash of each sample's name."""

from __future__ import annotations

import hashlib
import math
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

__all__ = ["SPLITS", "Shares", "Split", "Validation", "split_of"]

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


def _checked(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    if min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
        raise ValueError(
            f"the shares of train, val and test are {shares}; give three numbers from 0 to 1 "
            "whose sum is 1"
        )
    return shares


# The shares of the training, validation and test split.
Shares = Annotated[tuple[float, float, float], AfterValidator(_checked)]
# The share of the training part that becomes the validation split.
Validation = Annotated[float, Field(ge=0.0, lt=1.0)]


def split_of(name: str, shares: tuple[float, float, float]) -> Split:
    """Return the split of a sample.

    The split depends on the sample's name and the shares alone: not on the order of the samples,
    the machine, or the other samples. A sample keeps its split if others are added.

    Args:
        name: Name of the sample, unique in its data set.
        shares: Shares of the training, validation and test split; the sum is 1. The sizes of the
            splits approach these shares as the set grows, but do not equal them.
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    position = int.from_bytes(digest[:6], "big") / 2**48
    parts = [(split, share) for split, share in zip(SPLITS, shares, strict=True) if share > 0]
    end = 0.0
    for split, share in parts:
        end += share
        if position < end:
            return split
    return parts[-1][0]  # the sum of the shares was rounded below 1
