"""How a network's source and its inputs are written; without torch, for the command line."""

from __future__ import annotations

from typing import NamedTuple

from edge_pipeline.artifact.tensors import Dtype

__all__ = ["InputShape", "is_factory"]


class InputShape(NamedTuple):
    """An input to be drawn: its sizes and its type."""

    sizes: tuple[int, ...]
    dtype: Dtype = "float32"


def is_factory(source: str) -> bool:
    """Whether a source is written as `package.module:factory`."""
    module, colon, name = source.partition(":")
    parts = [*module.split("."), name]
    return bool(colon) and all(part.isidentifier() for part in parts)
