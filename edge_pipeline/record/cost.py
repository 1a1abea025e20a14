"""Schema of costs: parameters and operations of a network, per layer and in all.

Field names are the JSON keys and contain the units. `flops` is always `2 * macs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt

from edge_pipeline.record.schema import Schema

__all__ = ["COST_FILE", "Cost", "CostRecord", "LayerCost", "Subtotal"]

COST_FILE = "cost.json"
"""Name of the file in an artifact that contains its CostRecord."""


class LayerCost(Schema):
    """Cost of one layer that computes or has parameters, at batch size 1.

    Attributes:
        name: Dotted name of the module.
        op: `conv2d`, `dynamic_conv2d` (weights computed at run time), `linear`, `matmul`, or the
            module's class if it has parameters but no counted operation.
        params: Number of the layer's own parameters.
        macs: Number of multiply-accumulates.
        flops: 2 * macs.
        output_shape: Shape of the output, batch first.
        part: `predictor` if the layer only predicts filters, otherwise `path`.
        activations: Number of values that the layer reads and writes, without its weights; a value
            that several layers read, as over a skip connection, counts in each of them. None in
            artifacts that were compiled before it was counted.
    """

    name: str
    op: str
    params: NonNegativeInt
    macs: NonNegativeInt
    flops: NonNegativeInt
    output_shape: tuple[int, ...]
    part: Literal["predictor", "path"]
    activations: NonNegativeInt | None = None


class Subtotal(Schema):
    """Parameters and cost of the layers of one part."""

    params: NonNegativeInt
    macs: NonNegativeInt
    flops: NonNegativeInt


class Cost(Schema):
    """Cost of one forward pass; only convolutions and matrix products are counted."""

    params: NonNegativeInt
    macs: NonNegativeInt
    flops: NonNegativeInt
    predictor: Subtotal
    path: Subtotal
    layers: tuple[LayerCost, ...]

    @classmethod
    def of(cls, layers: Sequence[LayerCost]) -> Self:
        """Return the cost of `layers` with its sums."""

        def total(rows: list[LayerCost]) -> Subtotal:
            macs = sum(row.macs for row in rows)
            params = sum(row.params for row in rows)
            return Subtotal(params=params, macs=macs, flops=2 * macs)

        everything = total(list(layers))
        return cls(
            **everything.model_dump(),
            predictor=total([row for row in layers if row.part == "predictor"]),
            path=total([row for row in layers if row.part == "path"]),
            layers=tuple(layers),
        )

    def path_only(self) -> Cost:
        """Return the cost without the filter predictors, as for folded filters."""
        return Cost.of([row for row in self.layers if row.part == "path"])


class CostRecord(Cost):
    """Cost of a network with given options at a given input size.

    `input` is channels, height and width of the first input; the batch size is 1. `fixed` are the
    values of fixed inputs.
    """

    model: str
    options: dict[str, str | int | float | bool]
    input: tuple[PositiveInt, ...]
    fixed: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @classmethod
    def build(
        cls,
        cost: Cost,
        *,
        model: str,
        options: dict[str, str | int | float | bool],
        input: tuple[int, ...],
        fixed: Mapping[str, str | int | float | bool] | None = None,
    ) -> CostRecord:
        """Return the record of a cost.

        Args:
            cost: The counted cost.
            model: Registered name of the network.
            options: All options of the network.
            input: Channels, height and width of the first input.
            fixed: Values of fixed inputs by name.
        """
        return cls(model=model, options=options, input=input, fixed=dict(fixed or {}), **dict(cost))

    def on_path(self) -> CostRecord:
        """Return the record without the filter predictors."""
        return CostRecord.build(
            self.path_only(),
            model=self.model,
            options=self.options,
            input=self.input,
            fixed=self.fixed,
        )

    def json_text(self) -> str:
        """Return the record as JSON text, with the network first and the layers last."""
        data = self.model_dump(mode="json")
        first = {key: data.pop(key) for key in ("model", "options", "input", "fixed")}
        return json.dumps(first | data, indent=2) + "\n"
