"""The hypernetwork that an artifact may carry: weights for any phi, without torch.

The file is a safetensors file. Its tensors are named as the network's own: `hidden.0.weight`,
`hidden.0.bias`, then 2 (and so on, an activation between), and for each weight that is predicted
one linear layer, `heads.NAME.weight` [numel, hidden] and `heads.NAME.bias` [numel]. Its metadata
has one entry, which says what else there is to know; see `HypernetworkSpec`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import PositiveInt, ValidationError

from edge_pipeline.artifact.schema import Schema
from edge_pipeline.errors import ArtifactError, InputError

__all__ = [
    "Hypernetwork",
    "HypernetworkSpec",
    "hypernetwork_bytes",
    "map_sizes",
    "weights_at",
]

_KEY = "edge_pipeline.hypernetwork"

# As `models/phi_unet.py` has it: 20 * 0.35 is 6.999999999999999 in binary and 7 on paper.
_BINARY_ERROR = 1e-6

# Rows of a last layer that are held in double precision at a time: they fit a core's cache.
_ROWS = 1 << 11

# phi is told, and searched for, in steps of this size.
_STEP = 1e-4


class HypernetworkSpec(Schema):
    """What the file says beside its tensors.

    `shapes` are those of the predicted weights, in order; `slope` is the LeakyReLU's; `phi_range`
    lowest and highest phi of training; `levels` how many sizes of maps the network has, each
    `map_sizes` of the one before.
    """

    format: Literal["edge_pipeline.hypernetwork"] = "edge_pipeline.hypernetwork"
    version: Literal[1] = 1
    shapes: dict[str, tuple[PositiveInt, ...]]
    slope: float
    phi_range: tuple[float, float]
    levels: PositiveInt


def map_sizes(height: int, width: int, phi: float, levels: int) -> list[tuple[int, int]]:
    """Height and width of each level's maps, fine to coarse: floor(previous * phi), at least 1.

    Source: papers/000, Tables 1 and 2, as `models.phi_unet.sizes_of`, which is tested to agree.
    """
    sizes = [(height, width)]
    while len(sizes) < levels:
        rows, columns = (max(1, math.floor(side * phi + _BINARY_ERROR)) for side in sizes[-1])
        sizes.append((rows, columns))
    return sizes


def hypernetwork_bytes(spec: HypernetworkSpec, tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The file's bytes; the same hypernetwork always gives the same.

    Args:
        spec: see there.
        tensors: float32, by name as in the module's docstring.
    """
    text = json.dumps(spec.model_dump(mode="json"), separators=(",", ":"))
    whole = {name: np.ascontiguousarray(value) for name, value in sorted(tensors.items())}
    return safetensors.numpy.save(whole, {_KEY: text})


@dataclass(frozen=True)
class Hypernetwork:
    """A hypernetwork's file, opened; tensors are read from it one at a time.

    Attributes:
        path: the file.
        spec: what it says beside its tensors.
    """

    path: Path
    spec: HypernetworkSpec

    @classmethod
    def open(cls, path: Path) -> Hypernetwork:
        """Read what the file says, and check that its tensors are there.

        Raises:
            ArtifactError: the file is damaged, or of another kind.
        """
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                text = (file.metadata() or {}).get(_KEY)
                names = set(file.keys())
            if text is None:
                raise ArtifactError(f"{path} holds no hypernetwork; compile the artifact again")
            spec = HypernetworkSpec.model_validate_json(text)
        except (OSError, safetensors.SafetensorError, ValidationError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ArtifactError(f"{path} is not a readable hypernetwork: {reason}") from error
        heads = {f"heads.{name}.{part}" for name in spec.shapes for part in ("weight", "bias")}
        missing = sorted(heads - names)
        if missing or "hidden.0.weight" not in names:
            raise ArtifactError(f"{path} has no {(missing or ['hidden.0.weight'])[0]}")
        return cls(path, spec)

    def check_phi(self, phi: float) -> None:
        """Refuse a phi that the hypernetwork was not trained at.

        Raises:
            InputError: it is outside the range.
        """
        low, high = self.spec.phi_range
        if not low <= phi <= high:
            raise InputError(f"phi {phi:g} is outside {low:g} to {high:g}, the range of training")

    def predict(self, phi: float) -> dict[str, NDArray[np.float32]]:
        """The weights at `phi`; see `weights_at`.

        Raises:
            InputError: phi is outside the range of training.
            ArtifactError: a layer does not fit its neighbours.
        """
        self.check_phi(phi)
        try:
            tensors = _mapped(self.path)
            return weights_at(self.spec, tensors, phi)
        except (OSError, ValueError, KeyError) as error:
            raise ArtifactError(f"{self.path} has layers that do not fit: {error}") from error

    def same_sizes(self, height: int, width: int, phi: float) -> tuple[float, float]:
        """The lowest and highest phi, in steps of 0.0001, whose maps have the sizes of `phi`'s.

        Args:
            height: of the network's input.
            width: of the network's input.
            phi: within the range of training.
        """
        wanted = map_sizes(height, width, phi, self.spec.levels)
        low, high = self.spec.phi_range

        def furthest(step: float, end: float) -> float:
            """Sizes never shrink as phi grows, so the range is found by halving."""
            inside, outside = 0, int(abs(end - phi) / _STEP + _BINARY_ERROR) + 1
            while outside - inside > 1:
                middle = (inside + outside) // 2
                if map_sizes(height, width, phi + step * middle, self.spec.levels) == wanted:
                    inside = middle
                else:
                    outside = middle
            return phi + step * inside

        return max(low, furthest(-_STEP, low)), min(high, furthest(_STEP, high))


def weights_at(
    spec: HypernetworkSpec, tensors: Mapping[str, NDArray[np.float32]], phi: float
) -> dict[str, NDArray[np.float32]]:
    """The weights at `phi`, by name, in order.

    Sums are made in double precision and rounded once, so that the compiler and a device agree.

    Args:
        spec: see there.
        tensors: the hypernetwork's, float32, by name; each is read once, so they may be mapped.
        phi: the rescaling factor.

    Raises:
        ValueError: a layer does not fit its neighbours.
    """
    features = np.array([phi, 1 - phi], np.float64)
    number = 0
    while f"hidden.{number}.weight" in tensors:
        made = _linear(tensors, f"hidden.{number}", features)
        features = np.where(made >= 0, made, spec.slope * made)
        number += 2  # an activation stands between
    return {
        name: _linear(tensors, f"heads.{name}", features).astype(np.float32).reshape(shape)
        for name, shape in spec.shapes.items()
    }


def _mapped(path: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of a safetensors file, where they lie.

    The library copies each, and that takes longer than all the sums.
    """
    data = np.memmap(path, np.uint8, "r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    return {
        name: data[start:][slice(*about["data_offsets"])].view("<f4").reshape(about["shape"])
        for name, about in header.items()
        if name != "__metadata__"
    }


def _linear(
    tensors: Mapping[str, NDArray[np.float32]], layer: str, x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The weight [out, in] times x [in], plus bias [out], in double precision and in pieces."""
    weight, bias = tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]
    if weight.ndim != 2 or weight.shape[1] != x.size or bias.shape != weight.shape[:1]:
        raise ValueError(f"a layer of {weight.shape} meets {x.size} values")
    made = np.empty(len(weight), np.float64)
    for start in range(0, len(weight), _ROWS):
        piece = slice(start, start + _ROWS)
        made[piece] = weight[piece].astype(np.float64) @ x + bias[piece]
    return made
