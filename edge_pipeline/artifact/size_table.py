"""Map sizes and costs of a program as functions of one fixed input, a part of the weight curve.

The functions are constant between their breaks. Each column of the table is one of them: the height
or width of maps, or a number of multiply-accumulates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt

from edge_pipeline.artifact.schema import Schema

__all__ = ["LayerColumns", "SizeTable", "TableSpec"]


class LayerColumns(Schema):
    """Columns of a layer's row in `cost.json`; None for a number that never changes."""

    name: str
    macs: NonNegativeInt | None
    output_shape: tuple[NonNegativeInt | None, ...]
    activations: NonNegativeInt | None = None


class TableSpec(Schema):
    """Columns of a table: `macs` of the whole program, and the columns of the cost's layers."""

    macs: NonNegativeInt | None = None
    layers: tuple[LayerColumns, ...] = ()

    def columns(self) -> set[int]:
        """Return all columns that are named."""
        named = {self.macs}
        for layer in self.layers:
            named |= {layer.macs, layer.activations, *layer.output_shape}
        return {column for column in named if column is not None}


@dataclass(frozen=True)
class SizeTable:
    """Integers as functions of a fixed input.

    Attributes:
        spec: Meaning of the columns.
        breaks: Smallest value of the input of each row, ascending, float64 [rows].
        numbers: The integers, int64 [rows, columns].
    """

    spec: TableSpec
    breaks: NDArray[np.float64]
    numbers: NDArray[np.int64]

    def fault(self) -> str | None:
        """Return the reason why the table is damaged, or None."""
        if self.breaks.dtype != np.float64 or self.numbers.dtype != np.int64:
            return f"its table has the types {self.breaks.dtype} and {self.numbers.dtype}"
        if self.breaks.ndim != 1 or self.numbers.ndim != 2 or not len(self.breaks):
            return "its table is not two-dimensional"
        if len(self.breaks) != len(self.numbers) or not (np.diff(self.breaks) > 0).all():
            return "the breaks of its table are not ascending, one for each row"
        if not np.isfinite(self.breaks).all() or (self.numbers < 0).any():
            return "its table contains a negative or infinite number"
        if any(column >= self.numbers.shape[1] for column in self.spec.columns()):
            return "it names a column that its table does not have"
        return None

    def at(self, value: float) -> tuple[int, ...]:
        """Return the integers at a value of the input, which must not be below the first break."""
        row = int(np.searchsorted(self.breaks, value, "right")) - 1
        return tuple(self.numbers[max(row, 0)].tolist())
