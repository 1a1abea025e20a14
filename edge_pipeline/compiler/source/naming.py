"""Notation of network sources and inputs on the command line; does not import torch."""

from __future__ import annotations

from typing import NamedTuple

from edge_pipeline.artifact.tensors import Dtype

__all__ = ["InputShape", "is_factory"]


class InputShape(NamedTuple):
    """The shape and type of an example input to draw."""

    sizes: tuple[int, ...]
    dtype: Dtype = "float32"


def is_factory(source: str) -> bool:
    """Return whether a source has the form `package.module:factory`."""
    module, colon, name = source.partition(":")
    parts = [*module.split("."), name]
    return bool(colon) and all(part.isidentifier() for part in parts)
