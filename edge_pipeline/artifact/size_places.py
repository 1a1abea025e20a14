"""Schema of the places of map sizes in the files of a program."""

from __future__ import annotations

from pydantic import NonNegativeInt

from edge_pipeline.artifact.schema import Schema

__all__ = ["SizeInCall", "SizeInFile", "Sizes"]


class SizeInFile(Schema):
    """Place of a map size in the program's file: 8 bytes, little endian, at `offset`.

    `column` is the size's column in the table of the weight curve.
    """

    offset: NonNegativeInt
    column: NonNegativeInt


class SizeInCall(Schema):
    """Place of a map size in the program's graph: item `item` of the call's second argument."""

    call: str
    item: NonNegativeInt
    column: NonNegativeInt


class Sizes(Schema):
    """Places of the map sizes that depend on a fixed input."""

    numbers: tuple[SizeInFile, ...]
    calls: tuple[SizeInCall, ...]
