"""The weights of a network for other values of its fixed number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.compiler.passes.specialise import Specialise, specialised_weights
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.shape_rules import Rules
from edge_pipeline.compiler.source.trail import UNSUPPORTED, Trail, trail_of
from edge_pipeline.errors import EdgePipelineError, InputError

__all__ = ["ByExport", "ByTrail", "Weights", "WeightsAt", "refusal"]

Weights = dict[str, NDArray[np.float32]]


class WeightsAt(Protocol):
    """A source of the weights for any value of the fixed number.

    Attributes:
        own: Weights for the value that the network is compiled for.
    """

    own: Weights

    def at(self, value: float) -> Weights:
        """Return the weights for a value, by name, float32.

        Raises:
            InputError: If another value changes more than weights.
        """
        ...


def refusal(network: SourceNetwork, name: str) -> InputError:
    """Return the error for a network in which other values change more than weights."""
    return InputError(
        f"another {name} changes more of {type(network.module).__name__} than its weights; leave "
        "out --respecialisable"
    )


@dataclass(frozen=True)
class _Place:
    """A weight among the operands of a trail."""

    operand: int
    turned: bool


class ByTrail:
    """Weights from a run of the network without memory for its inputs, in milliseconds.

    Attributes:
        own: Weights for the value that the network is compiled for.
        trail: Trail for that value.
    """

    def __init__(self, network: SourceNetwork, name: str, value: float) -> None:
        self._network, self._name = network, name
        self._rules = Rules()
        self.trail = self._trail(value)
        program = network.traced()
        self.own = {key: v.numpy() for key, v in specialised_weights(program).items()}
        self._places = _places(specialised_weights(program), self.trail)

    @classmethod
    def of(cls, network: SourceNetwork, name: str, value: float) -> ByTrail | None:
        """Return the source for a network; None if its weights are not found in its trail."""
        try:
            return cls(network, name, value)
        except (*UNSUPPORTED, LookupError) as error:
            if isinstance(error, EdgePipelineError):
                raise
            return None

    def at(self, value: float, *, sampled: bool = False) -> Weights:
        """Return the weights for a value; see `WeightsAt`.

        Args:
            value: Value of the fixed number.
            sampled: Whether wide weights are computed at the places of `sample_of` only.
        """
        trail = self._trail(value, sampled=sampled)
        if len(trail.operands) != len(self.trail.operands):
            raise refusal(self._network, self._name)
        held = {place.operand for place in self._places.values()}
        for i, (new, old) in enumerate(zip(trail.operands, self.trail.operands, strict=True)):
            same_kind = new.shape == old.shape and new.dtype == old.dtype
            if not same_kind or (i not in held and not sampled and not torch.equal(new, old)):
                raise refusal(self._network, self._name)
        return {name: _array(trail, place) for name, place in self._places.items()}

    def steps(self, value: float) -> object:
        """Return what the network applies to its inputs for a value, including all sizes."""
        return self._trail(value, sampled=True).steps

    def _trail(self, value: float, *, sampled: bool = False) -> Trail:
        network = self._network.with_fixed({**self._network.fixed, self._name: value})
        trail = trail_of(network, sampled=sampled, rules=self._rules)
        # A weight that several operators share is one operand.
        operands = {(v.data_ptr(), v.shape, v.stride()): v for v in trail.operands}
        return Trail(trail.steps, trail.depends, tuple(operands.values()), trail.outputs)


def _places(weights: Mapping[str, Tensor], trail: Trail) -> dict[str, _Place]:
    """Return the operand of each weight, by equality of all bits, in order.

    Raises:
        LookupError: If a weight is not an operand.
    """
    free = dict(enumerate(trail.operands))
    found: dict[str, _Place] = {}
    for name, weight in weights.items():
        place = next(_candidates(weight, free), None)
        if place is None:
            raise LookupError(name)
        del free[place.operand]
        found[name] = place
    return found


def _candidates(weight: Tensor, free: Mapping[int, Tensor]) -> Iterator[_Place]:
    for i, value in free.items():
        for turned in (False, True) if value.dim() == 2 else (False,):
            own = value.t() if turned else value
            if own.shape == weight.shape and own.dtype == weight.dtype and torch.equal(own, weight):
                yield _Place(i, turned)


def _array(trail: Trail, place: _Place) -> NDArray[np.float32]:
    value = trail.operands[place.operand].detach()
    array: NDArray[np.float32] = (value.t() if place.turned else value).contiguous().numpy()
    return array


@dataclass(frozen=True)
class _Point:
    """The program for one value of the fixed number: its text, other constants and weights."""

    text: str
    others: tuple[tuple[str, Tensor], ...]
    weights: Weights

    @classmethod
    def of(cls, program: ExportedProgram) -> _Point:
        found = specialised_weights(program)
        exchanged = {value.data_ptr() for value in found.values()}
        others = tuple(
            (name, value)
            for name, value in sorted(program.constants.items())
            if isinstance(value, Tensor) and value.data_ptr() not in exchanged
        )
        shapes = [str(getattr(node.meta.get("val"), "shape", "")) for node in program.graph.nodes]
        weights = {name: value.numpy() for name, value in found.items()}
        return cls(f"{program.graph}{shapes}", others, weights)

    def is_like(self, other: _Point) -> bool:
        """Return whether the two programs are equal except for their weights."""
        return self.text == other.text and all(
            torch.equal(mine, theirs)
            for (_, mine), (_, theirs) in zip(self.others, other.others, strict=True)
        )


class ByExport:
    """Weights from an export of the network for each value, in seconds; see `WeightsAt`."""

    def __init__(self, network: SourceNetwork, name: str, value: float) -> None:
        self._network, self._name = network, name
        self._points: dict[float, _Point] = {}
        self._first = self._point(value)
        self.own = self._first.weights

    def at(self, value: float) -> Weights:
        """Return the weights for a value; see `WeightsAt`."""
        if value not in self._points:
            self._points[value] = self._point(value)
        point = self._points[value]
        if not point.is_like(self._first):
            raise refusal(self._network, self._name)
        return point.weights

    def _point(self, value: float) -> _Point:
        network = self._network.with_fixed({**self._network.fixed, self._name: value})
        program = network.exported(network.example)
        return _Point.of(Specialise().run(program).program)
