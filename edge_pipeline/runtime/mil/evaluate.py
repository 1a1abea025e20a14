"""An evaluator of ML Programs, which computes the operators of a saved package in NumPy.

It shares no code with the converter that wrote the package, nor with torch, so agreement with eager
shows that conversion and serialisation are correct. It shows nothing about the execution in Core
ML: which unit runs an operator, with which arithmetic, and how fast. Half precision is simulated by
rounding every operator's result; Core ML may also round within an operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.runtime.mil import layout, ops, windows
from edge_pipeline.runtime.mil.ops import Array
from edge_pipeline.runtime.mil.package import Operation, TensorType, read_package

__all__ = ["OPERATORS", "Evaluator"]

OPERATORS = ops.OPERATORS | layout.OPERATORS | windows.OPERATORS


class Evaluator:
    """Evaluator of a package's program.

    Args:
        folder: Folder of the `.mlpackage`.

    Raises:
        RuntimeFailure: If the package cannot be read, or contains an unknown operator; the message
            names the operator.

    Attributes:
        inputs: Types of the program's inputs, by name.
        outputs: Names of the program's outputs, in order.
    """

    def __init__(self, folder: Path) -> None:
        program = read_package(folder)
        self.inputs = program.inputs
        self.outputs = program.outputs
        known = set(OPERATORS) | {"const"}
        for operation in program.operations:
            if operation.kind not in known:
                raise RuntimeFailure(
                    f"{folder} has the operator {operation.kind} ({_name(operation)}), which the "
                    "evaluator does not know; add it to runtime/mil/ops.py, or run it on a Mac"
                )
        self._constants = _constants(program.operations)
        self._operations = [op for op in program.operations if op.kind != "const"]

    def run(
        self,
        inputs: Mapping[str, NDArray[np.float32]],
        *,
        observe: Callable[[str, Array], None] | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Evaluate the program and return its outputs by name.

        Args:
            inputs: Inputs by name, in the program's shapes.
            observe: Function that is called with the name and value of every result; values in
                half precision are passed as float32.

        Raises:
            RuntimeFailure: If an input has another shape, or if an operator fails or returns
                another shape than it declares.
        """
        values: dict[str, Any] = dict(self._constants)
        for name, kind in self.inputs.items():
            if name not in inputs or inputs[name].shape != kind.shape:
                raise RuntimeFailure(
                    f"the ML Program requires the input {name} with the shape {kind.shape}"
                )
            values[name] = _rounded(inputs[name], kind)
        for operation in self._operations:
            for (name, kind), value in zip(
                operation.outputs, _results(operation, values), strict=True
            ):
                values[name] = _declared(operation, name, value, kind)
                if observe is not None:
                    observe(name, values[name])
        missing = [name for name in self.outputs if name not in values]
        if missing:
            raise RuntimeFailure(f"no operator of the ML Program computes its output {missing[0]}")
        return {name: np.array(values[name], np.float32) for name in self.outputs}


def _name(operation: Operation) -> str:
    return operation.outputs[0][0] if operation.outputs else "without outputs"


def _constants(operations: tuple[Operation, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for operation in operations:
        if operation.kind != "const":
            continue
        ((name, kind),) = operation.outputs
        value = operation.attributes.get("val")
        if value is None:
            raise RuntimeFailure(f"the constant {name} of the ML Program has no value")
        found[name] = value if isinstance(value, str | list) else _rounded(value, kind)
    return found


def _results(operation: Operation, values: Mapping[str, Any]) -> tuple[Array, ...]:
    """Return the results of an operator before rounding."""

    def look_up(binding: Any) -> Any:
        if not isinstance(binding, str):
            return binding
        if binding not in values:
            raise RuntimeFailure(
                f"{operation.kind} ({_name(operation)}) uses {binding}, which no earlier operator "
                "computes"
            )
        return values[binding]

    arguments: dict[str, Any] = {}
    for parameter, bindings in operation.inputs.items():
        found = [look_up(binding) for binding in bindings]
        arguments[parameter] = found if parameter == "values" else found[0]
    if operation.kind.startswith("constexpr_"):  # their operands are attributes
        arguments |= {key: v for key, v in operation.attributes.items() if key != "name"}
    try:
        with np.errstate(all="ignore"):  # infinities are valid results
            given = OPERATORS[operation.kind](**arguments)
    except (TypeError, ValueError, IndexError) as error:
        raise RuntimeFailure(
            f"the operator {operation.kind} ({_name(operation)}) of the ML Program cannot be "
            f"evaluated: {error}"
        ) from error
    results = given if isinstance(given, tuple) else (given,)
    if len(results) != len(operation.outputs):
        raise RuntimeFailure(
            f"{operation.kind} ({_name(operation)}) returned {len(results)} values; the ML "
            f"Program declares {len(operation.outputs)}"
        )
    return results


def _declared(operation: Operation, name: str, value: Array, kind: TensorType) -> Array:
    if np.shape(value) != kind.shape:
        raise RuntimeFailure(
            f"{operation.kind} ({name}) returned the shape {np.shape(value)}; the ML Program "
            f"declares {kind.shape}"
        )
    return _rounded(value, kind)


def _rounded(value: Array, kind: TensorType) -> Array:
    """Return the value in its declared type; float16 is rounded but stored as float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        if kind.dtype == "float16":
            return np.asarray(np.asarray(value).astype(np.float16), np.float32)
        return np.asarray(value).astype(kind.dtype, copy=False)
