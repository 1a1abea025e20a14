"""Rooflines: work, memory traffic and attainable speed of each layer of a network.

A layer with intensity I (operations per byte of traffic) attains at most min(peak, I * bandwidth):
below the ridge, where both are equal, memory limits it; above it, arithmetic does. The traffic of a
layer is its weights, the values that it reads and those that it writes, each once, as if no value
stayed in a cache. A value that several layers read, as over a skip connection, counts for each.
Layers that do not multiply have no operations here, and their traffic is not counted.

Source: [Roofline], "The Roofline Model".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge_pipeline.harness.cost import multiplying_rows
from edge_pipeline.record import CostRecord, Layer, LayerCost, OperatorTime, Peaks, Record

__all__ = ["Speed", "attainable_gflops", "bandwidth_gb_s", "intensity_of", "layers_of", "speeds_of"]

_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}


@dataclass(frozen=True)
class Speed:
    """Speed of a layer.

    Attributes:
        layer: The layer's work.
        intensity: Operations per byte of traffic.
        attainable_gflops: Highest speed that the device's peaks allow; None without peaks.
        share: Share of the time, from 0 to 1; None if unknown.
        gflops: Measured speed; None if the share is unknown.
        limit: Resource that limits the speed; None without peaks.
    """

    layer: Layer
    intensity: float
    attainable_gflops: float | None
    share: float | None
    gflops: float | None
    limit: Literal["memory", "arithmetic"] | None


def layers_of(
    cost: CostRecord, macs: int, precision: str, operators: Sequence[OperatorTime] = ()
) -> tuple[Layer, ...]:
    """Return the work of those layers of a network that multiply in a program.

    Args:
        cost: Cost of the network at the program's input size.
        macs: Multiply-accumulates of the program.
        precision: Precision of the artifact: `fp32`, `fp16` or `int8`.
        operators: Profiled operators; the share of a layer is the sum of its operators' shares.

    Returns:
        The layers in order; empty if no part of the network has this number of operations, or the
        precision is unknown.
    """
    size = _BYTES.get(precision)
    if size is None:
        return ()
    return tuple(_layer(row, size, operators) for row in multiplying_rows(cost, macs))


def _layer(row: LayerCost, size: int, operators: Sequence[OperatorTime]) -> Layer:
    return Layer(
        name=row.name,
        op=row.op,
        macs=row.macs,
        flops=row.flops,
        params=row.params,
        weight_bytes=size * _weights(row),
        activation_bytes=size * _activations(row),
        share=_share(row.name, operators),
    )


def _activations(row: LayerCost) -> int:
    """Return the number of values that a layer reads and writes.

    Costs of older artifacts have the output only, which a later layer reads: twice its size.
    """
    if row.activations is None:
        return 2 * math.prod(row.output_shape)
    return row.activations


def _weights(row: LayerCost) -> int:
    """Return the number of weights that multiply: each does so once at each place of the output.

    Source: A convolution has out x in/groups x kernel weights, and as many operations per place
        of its output; a linear layer is a convolution with one place per row.
    """
    if "conv" in row.op:
        return round(row.macs / max(1, math.prod(row.output_shape[2:])))
    return round(row.macs / max(1, math.prod(row.output_shape[:-1])))


def _share(name: str, operators: Sequence[OperatorTime]) -> float | None:
    shares = [operator.share for operator in operators if operator.layer == name]
    return min(1.0, sum(shares)) if shares else None


def intensity_of(layer: Layer) -> float:
    """Return the operations per byte of traffic; infinite without traffic."""
    traffic = layer.weight_bytes + layer.activation_bytes
    return layer.flops / traffic if traffic else math.inf


def bandwidth_gb_s(peaks: Peaks) -> float:
    """Return the traffic in 1e9 bytes per second: a copied byte is read, and is written."""
    return 2 * peaks.copy_gb_s


def attainable_gflops(intensity: float, peaks: Peaks) -> float:
    """Return the highest speed at an intensity, in 1e9 operations per second."""
    return min(peaks.gflops, intensity * bandwidth_gb_s(peaks))


def speeds_of(record: Record) -> list[Speed]:
    """Return the speed of each layer of a record that its operators or its peaks tell.

    The measured speed of a layer is its operations, divided by its share of the median time.
    """
    return [_speed(layer, record) for layer in record.layers]


def _speed(layer: Layer, record: Record) -> Speed:
    intensity, peaks = intensity_of(layer), record.peaks
    share = _share(layer.name, record.operators) if layer.share is None else layer.share
    gflops = None
    if share and record.latency is not None and record.latency.median_ms:
        gflops = layer.flops / (share * record.latency.median_ms * 1e6)
    if peaks is None:
        return Speed(layer, intensity, None, share, gflops, None)
    is_memory = intensity * bandwidth_gb_s(peaks) < peaks.gflops
    limit: Literal["memory", "arithmetic"] = "memory" if is_memory else "arithmetic"
    return Speed(layer, intensity, attainable_gflops(intensity, peaks), share, gflops, limit)
