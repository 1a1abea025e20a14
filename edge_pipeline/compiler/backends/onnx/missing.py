"""Detection of operators for which torch's ONNX exporter has no function."""

from __future__ import annotations

import operator
from typing import Any

from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.refusals import Refused

__all__ = ["missing_operators"]

_REMEDY = "write it with operators that ONNX supports"


def missing_operators(program: ExportedProgram, opset: int) -> list[Refused]:
    """Return all operators that the exporter has no function for, after its decompositions.

    The exporter itself stops at the first such operator. This function uses the exporter's private
    tables, and returns an empty list if they cannot be imported.

    Args:
        program: Program as given to the exporter.
        opset: ONNX opset that the exporter writes.
    """
    try:
        from torch.onnx._internal.exporter import _decomp, _registration
    except ImportError:
        return []
    registry: Any = _registration.ONNXRegistry.from_torchlib(opset_version=opset)
    known = set(_decomp.get_onnx_implemented_overloads(registry))
    table: Any = _decomp.create_onnx_friendly_decomposition_table(known)
    plain = program.run_decompositions(table)
    return [
        Refused.of(node, f"torch's ONNX exporter has no function for {node.target}", _REMEDY)
        for node in plain.graph.nodes
        if node.op == "call_function" and node.target is not operator.getitem
        if not registry.is_registered(node.target)
    ]
