"""The weights of a program as functions of one fixed input, which an artifact may carry.

The file is a safetensors file. For each weight it has one tensor, [knots, *shape], or [1, *shape]
if the weight is the same at every value of the input. Between two knots each weight is a straight
line. The metadata has one entry, which says what else there is to know; see `CurveSpec`.
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
    """What the file says beside its tensors.

    `input` is the name of the fixed input, `knots` its values in ascending order. From the first
    knot to the last the program is the same but for its weights.
    """

    format: Literal["edge_pipeline.weight_curve"] = "edge_pipeline.weight_curve"
    version: Literal[1] = 1
    input: str
    knots: Annotated[tuple[float, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not all(low < high for low, high in pairwise(self.knots)):
            raise ValueError(f"the knots {self.knots} do not ascend")
        return self


@dataclass(frozen=True)
class WeightCurve:
    """Weights by the value of a fixed input.

    Attributes:
        spec: the input, and its values at the knots.
        weights: by name, float32 [knots, *shape], or [1, *shape] for one that stays the same.
    """

    spec: CurveSpec
    weights: dict[str, NDArray[np.float32]]

    @classmethod
    def open(cls, path: Path) -> WeightCurve:
        """Read a file that `content` gave.

        Raises:
            ArtifactError: the file is damaged, or of another kind.
        """
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                text = (file.metadata() or {}).get(_KEY)
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if text is None:
                raise ArtifactError(f"{path} holds no weight curve; compile the artifact again")
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
        """The file's bytes; the same curve always gives the same."""
        text = json.dumps(self.spec.model_dump(mode="json"), separators=(",", ":"))
        whole = {name: np.ascontiguousarray(v) for name, v in sorted(self.weights.items())}
        return safetensors.numpy.save(whole, {_KEY: text})

    def at(self, value: float) -> dict[str, NDArray[np.float32]]:
        """The weights at a value of the input, by name, float32.

        Args:
            value: from the first knot to the last.

        Raises:
            InputError: it is outside.
        """
        knots = self.spec.knots
        # Written so that a value that is no number fails too.
        if not knots[0] <= value <= knots[-1]:
            raise InputError(
                f"{self.spec.input} {value:g} is outside {knots[0]:g} to {knots[-1]:g}, between "
                f"which the program stays the same; compile for {value:g}"
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
    """A weight on the line between two knots, summed in double precision and rounded once."""
    mixed: NDArray[np.float32] = ((1 - share) * low.astype(np.float64) + share * high).astype("<f4")
    return mixed
