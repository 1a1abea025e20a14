"""Schemas of measurements (a `Record` per program) and of costs (a `CostRecord` per network)."""

from edge_pipeline.record.cost import COST_FILE, Cost, CostRecord, LayerCost, Subtotal
from edge_pipeline.record.lines import append_records, read_records, records_text
from edge_pipeline.record.machine import Environment, Peaks, Sensors, Verification
from edge_pipeline.record.measurement import (
    Instructions,
    Latency,
    Layer,
    Memory,
    MemoryDetail,
    OperatorTime,
    Record,
    Sustained,
)

__all__ = [
    "COST_FILE",
    "Cost",
    "CostRecord",
    "Environment",
    "Instructions",
    "Latency",
    "Layer",
    "LayerCost",
    "Memory",
    "MemoryDetail",
    "OperatorTime",
    "Peaks",
    "Record",
    "Sensors",
    "Subtotal",
    "Sustained",
    "Verification",
    "append_records",
    "read_records",
    "records_text",
]
