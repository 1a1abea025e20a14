"""The cost of a network for another value of its fixed input, from the table of sizes."""

from __future__ import annotations

from collections.abc import Mapping

from edge_pipeline.artifact.schema import Value
from edge_pipeline.artifact.size_table import LayerColumns, SizeTable
from edge_pipeline.record import Cost, CostRecord, LayerCost

__all__ = ["cost_at"]


def cost_at(
    record: CostRecord, table: SizeTable, value: float, fixed: Mapping[str, Value]
) -> CostRecord:
    """Return a network's cost at another value of a fixed input.

    Args:
        record: The cost at any value of the input.
        table: Layers' costs and sizes as functions of the input.
        value: Value of the input.
        fixed: All fixed values of the network, including this one.
    """
    numbers = table.at(value)
    columns = {layer.name: layer for layer in table.spec.layers}
    layers = [
        _moved(layer, columns[layer.name], numbers) if layer.name in columns else layer
        for layer in record.layers
    ]
    return CostRecord.build(
        Cost.of(layers), model=record.model, options=record.options, input=record.input, fixed=fixed
    )


def _moved(layer: LayerCost, own: LayerColumns, numbers: tuple[int, ...]) -> LayerCost:
    if len(own.output_shape) != len(layer.output_shape):
        return layer
    pairs = zip(own.output_shape, layer.output_shape, strict=True)
    macs = layer.macs if own.macs is None else numbers[own.macs]
    values = layer.activations if own.activations is None else numbers[own.activations]
    shape = tuple(old if column is None else numbers[column] for column, old in pairs)
    return layer.model_copy(
        update={"macs": macs, "flops": 2 * macs, "output_shape": shape, "activations": values}
    )
