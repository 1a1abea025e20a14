"""The weights of a program as functions of one fixed input, an optional file of an artifact.

The file is a safetensors file with one tensor per weight: [knots, *shape], or [1, *shape] if the
weight is the same at every value of the input. Between two knots each weight is interpolated
linearly. The metadata has one entry, a `CurveSpec` as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from edge_pipeline.artifact.schema import Schema
from edge_pipeline.errors import ArtifactError, InputError, first_line

__all__ = ["CurveSpec", "WeightCurve"]

_KEY = "edge_pipeline.weight_curve"


class CurveSpec(Schema):
    """Metadata of a weight curve file.

    `input` is the name of the fixed input, and `knots` are its values in ascending order. From the
    first knot to the last, the program is the same except for its weights.
    """

    format: Literal["edge_pipeline.weight_curve"] = "edge_pipeline.weight_curve"
    version: Literal[1] = 1
    input: str
    knots: Annotated[tuple[float, ...], Field(min_length=2)]

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
    """

    spec: CurveSpec
    weights: dict[str, NDArray[np.float32]]

    @classmethod
    def open(cls, path: Path) -> WeightCurve:
        """Read a file whose bytes `content` returned.

        Raises:
            ArtifactError: If the file is damaged, or is not a weight curve.
        """
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                text = (file.metadata() or {}).get(_KEY)
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if text is None:
                raise ArtifactError(
                    f"{path} does not contain a weight curve; compile the artifact again"
                )
            spec = CurveSpec.model_validate_json(text)
        except (OSError, safetensors.SafetensorError, ValidationError) as error:
            reason = first_line(error)
            raise ArtifactError(f"{path} is not a readable weight curve: {reason}") from error
        for name, value in weights.items():
            if value.dtype != np.float32 or value.shape[:1] not in ((1,), (len(spec.knots),)):
                found = f"{value.dtype} {value.shape}"
                raise ArtifactError(f"{path}: {name} is {found} at {len(spec.knots)} knots")
        return cls(spec, weights)

    def content(self) -> bytes:
        """Return the file's bytes, which depend on the curve alone."""
        text = json.dumps(self.spec.model_dump(mode="json"), separators=(",", ":"))
        whole = {name: np.ascontiguousarray(v) for name, v in sorted(self.weights.items())}
        return safetensors.numpy.save(whole, {_KEY: text})

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
                f"{self.spec.input}={value:g} must be from {knots[0]:g} to {knots[-1]:g}, the "
                f"range in which the program stays the same; compile for {value:g}"
            )
        place = min(int(np.searchsorted(knots, value, "right")), len(knots) - 1)
        low, high = knots[place - 1 : place + 1]
        share = (value - low) / (high - low)
        return {
            name: held[0] if len(held) == 1 else _between(held[place - 1], held[place], share)
            for name, held in self.weights.items()
        }


def _between(
    low: NDArray[np.float32], high: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Return a weight interpolated between two knots, summed in float64 and rounded once."""
    mixed: NDArray[np.float32] = ((1 - share) * low.astype(np.float64) + share * high).astype("<f4")
    return mixed
