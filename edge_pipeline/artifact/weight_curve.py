"""The weights of a program as functions of one fixed input, an optional file of an artifact.

The file is a safetensors file with one tensor per weight: [knots, *shape], or [1, *shape] if the
weight is the same at every value of the input. A weight may be stored as a product instead:
`NAME:coefficients`, float64 [knots, rank], times `NAME:basis`, float32 [rank, *shape]. Between two
knots each weight (or its coefficients) is interpolated linearly. The metadata has one entry, a
`CurveSpec` as JSON. If it has a table, `:breaks` and `:numbers` are the arrays of a `SizeTable`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from edge_pipeline.artifact.schema import Schema
from edge_pipeline.artifact.size_table import SizeTable, TableSpec
from edge_pipeline.errors import ArtifactError, InputError, first_line

__all__ = ["CurveSpec", "WeightCurve"]

_KEY = "edge_pipeline.weight_curve"
_COEFFICIENTS, _BASIS = ":coefficients", ":basis"
_BREAKS, _NUMBERS = ":breaks", ":numbers"
# Places of a product that are summed at once, so that they stay in the processor's cache.
_BLOCK = 1 << 14

Factors = tuple[NDArray[np.float64], NDArray[np.float32]]


class CurveSpec(Schema):
    """Metadata of a weight curve file.

    `input` is the name of the fixed input, and `knots` are its values in ascending order. From the
    first knot to the last, the program is the same except for its weights, and except for the
    numbers of `table` if there is one. Files of version 1 have no table and no products.
    """

    format: Literal["edge_pipeline.weight_curve"] = "edge_pipeline.weight_curve"
    version: Literal[1, 2] = 2
    input: str
    knots: Annotated[tuple[float, ...], Field(min_length=2)]
    table: TableSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not all(low < high for low, high in pairwise(self.knots)):
            raise ValueError(f"the knots {self.knots} must be in ascending order")
        return self


@dataclass(frozen=True)
class WeightCurve:
    """Weights as functions of a fixed input.

    Attributes:
        spec: The fixed input's name and its values at the knots.
        weights: Weights by name, float32 [knots, *shape], or [1, *shape] for a constant weight.
        factors: Further weights by name, as coefficients [knots, rank] and a basis [rank, *shape].
        table: Map sizes and costs of the program, if they depend on the input too.
        first: Index of the first knot in `weights`, if these are read for one value only.
    """

    spec: CurveSpec
    weights: dict[str, NDArray[np.float32]]
    factors: dict[str, Factors] = field(default_factory=dict)
    table: SizeTable | None = None
    first: int = 0

    @classmethod
    def open(cls, path: Path, value: float | None = None) -> WeightCurve:
        """Read a file whose bytes `content` returned.

        Args:
            path: Path of the file.
            value: If given, only the weights for this value of the input are read. The file of a
                large network has hundreds of megabytes.

        Raises:
            ArtifactError: If the file is damaged, or is not a weight curve.
        """
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                text = (file.metadata() or {}).get(_KEY)
                if text is None:
                    raise ArtifactError(
                        f"{path} does not contain a weight curve; compile the artifact again"
                    )
                spec = CurveSpec.model_validate_json(text)
                first = 0 if value is None else max(0, _place(spec.knots, value) - 1)
                rows = slice(None) if value is None else slice(first, first + 2)
                names = list(file.keys())
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
                whole = (_COEFFICIENTS, _BASIS, _BREAKS, _NUMBERS)
                held = {
                    name: file.get_slice(name)[rows]
                    if value is not None
                    and shapes[name][:1] == (len(spec.knots),)
                    and not name.endswith(whole)
                    else file.get_tensor(name)
                    for name in names
                }
        except (OSError, safetensors.SafetensorError, ValidationError) as error:
            reason = first_line(error)
            raise ArtifactError(f"{path} is not a readable weight curve: {reason}") from error
        table = _table(path, spec, held)
        factors = _factors(path, spec, held)
        for name, array in held.items():
            shape = shapes[name]
            if array.dtype != np.float32 or shape[:1] not in ((1,), (len(spec.knots),)):
                found = f"{array.dtype} {shape}"
                raise ArtifactError(f"{path}: {name} is {found} at {len(spec.knots)} knots")
        return cls(spec, held, factors, table, first)

    def content(self) -> bytes:
        """Return the file's bytes, which depend on the curve alone."""
        spec = self.spec
        whole: dict[str, NDArray[Any]] = dict(self.weights)
        for name, (coefficients, basis) in self.factors.items():
            whole |= {f"{name}{_COEFFICIENTS}": coefficients, f"{name}{_BASIS}": basis}
        if self.table is not None:
            spec = spec.model_copy(update={"table": self.table.spec})
            whole |= {_BREAKS: self.table.breaks, _NUMBERS: self.table.numbers}
        text = json.dumps(spec.model_dump(mode="json"), separators=(",", ":"))
        arrays = {name: np.asarray(v, order="C") for name, v in sorted(whole.items())}
        return safetensors.numpy.save(arrays, {_KEY: text})

    def at(self, value: float) -> dict[str, NDArray[np.float32]]:
        """Return the weights at a value of the fixed input, by name, float32.

        Args:
            value: Value of the input, from the first knot to the last.

        Raises:
            InputError: If the value is outside this range.
        """
        knots = self.spec.knots
        # Written such that NaN is rejected too.
        if not knots[0] <= value <= knots[-1]:
            raise InputError(
                f"{self.spec.input}={value:g} must be from {knots[0]:g} to {knots[-1]:g}, "
                + (
                    f"the range in which the program stays the same; compile for {value:g}"
                    if self.table is None
                    else "the range that the artifact serves"
                )
            )
        place = _place(knots, value)
        low, high = knots[place - 1 : place + 1]
        share = (value - low) / (high - low)
        own = place - self.first
        found = {
            name: held[0] if len(held) == 1 else _between(held[own - 1], held[own], share)
            for name, held in self.weights.items()
        }
        for name, (coefficients, basis) in self.factors.items():
            mixed = (1 - share) * coefficients[place - 1] + share * coefficients[place]
            found[name] = _product(mixed, basis)
        return found


def _place(knots: Sequence[float], value: float) -> int:
    """Return the index of the knot above a value, at least 1."""
    return min(max(int(np.searchsorted(knots, value, "right")), 1), len(knots) - 1)


def _table(path: Path, spec: CurveSpec, held: dict[str, NDArray[Any]]) -> SizeTable | None:
    """Return the table of a file, and remove its arrays from `held`."""
    breaks, numbers = held.pop(_BREAKS, None), held.pop(_NUMBERS, None)
    if spec.table is None or breaks is None or numbers is None:
        if (spec.table, breaks, numbers) != (None, None, None):
            raise ArtifactError(f"{path} has an incomplete table; compile the artifact again")
        return None
    table = SizeTable(spec.table, breaks, numbers)
    fault = table.fault()
    if fault is None and breaks[0] > spec.knots[0]:
        fault = "its table begins above its first knot"
    if fault is not None:
        raise ArtifactError(f"{path}: {fault}; compile the artifact again")
    return table


def _factors(path: Path, spec: CurveSpec, held: dict[str, NDArray[Any]]) -> dict[str, Factors]:
    """Return the products of a file, and remove their factors from `held`."""
    found: dict[str, Factors] = {}
    names = [name.removesuffix(_BASIS) for name in held if name.endswith(_BASIS)]
    for name in names:
        basis, coefficients = held.pop(f"{name}{_BASIS}"), held.pop(f"{name}{_COEFFICIENTS}", None)
        if (
            coefficients is None
            or coefficients.dtype != np.float64
            or basis.dtype != np.float32
            or coefficients.shape != (len(spec.knots), *basis.shape[:1])
        ):
            raise ArtifactError(f"{path}: the factors of {name} do not fit its knots")
        found[name] = (coefficients, basis)
    return found


def _between(
    low: NDArray[np.float32], high: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Return a weight interpolated between two knots, summed in float64 and rounded once."""
    mixed: NDArray[np.float32] = ((1 - share) * low.astype(np.float64) + share * high).astype("<f4")
    return mixed


def _product(coefficients: NDArray[np.float64], basis: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a weight from its factors, summed in float64 in one order on every machine."""
    flat = basis.reshape(len(basis), -1)
    made = np.empty(flat.shape[1], "<f4")
    for start in range(0, len(made), _BLOCK):
        block = flat[:, start : start + _BLOCK]
        total = np.zeros(block.shape[1])
        for factor, row in zip(coefficients, block, strict=True):
            total += factor * row
        made[start : start + _BLOCK] = total
    return made.reshape(basis.shape[1:])
