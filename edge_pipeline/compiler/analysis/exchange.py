"""Weights that can be exchanged later: marks in their place, and where those turn up.

A program is written with marks, random numbers that occur nowhere else, in the place of the weights
that a user may exchange. Where their bytes turn up in the files is where weights lie; the real ones
are then written there by the function that `respecialise` uses. So every artifact with exchangeable
weights is itself made by exchanging them, and two weights that happen to be equal are never merged.

In half precision the bias of a single class is two bytes, which turn up in any file. A network with
such weights is written twice, and they lie where its two files hold their two marks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from edge_pipeline.artifact.constants import Twin, locate, patch
from edge_pipeline.artifact.manifest import Constant
from edge_pipeline.compiler.analysis.movement import MOVEMENTS
from edge_pipeline.compiler.program import constants_of, layer_of
from edge_pipeline.compiler.rebuilding import Parts, rebuilt

__all__ = ["Exchange", "LostMark", "constant_name"]

Arrays = dict[str, NDArray[np.float32]]

# In half precision, marks of fewer numbers than this turn up by chance.
_FEWEST = 4


def constant_name(weight: str, kind: Literal["filter", "fixed"] = "filter") -> str:
    """The name, of letters, digits and underscores, of the constant that holds a weight.

    Args:
        weight: its name, such as `conv1.weight`.
        kind: `filter` if it was computed from data, `fixed` if from fixed values.
    """
    return f"{kind}_" + "".join(c if c.isalnum() else "_" for c in weight)


class LostMark(Exception):  # noqa: N818 - caught by `build`, never shown
    """A mark did not come through the passes and the backend as it was."""


@dataclass(frozen=True)
class Exchange:
    """A program to write, with marks in the place of weights.

    Attributes:
        program: what to write.
        weights: the real ones by name.
        marks: what stands in their place.
    """

    program: ExportedProgram
    weights: Arrays
    marks: Arrays

    @classmethod
    def of(cls, program: ExportedProgram, weights: Mapping[str, Tensor]) -> Exchange:
        """Put a mark in the place of each weight.

        Args:
            program: as exported, or specialised.
            weights: by name; the program's constants are known by their values, and of several
                with the same value by `constant_name`.

        Raises:
            LostMark: a weight is no constant of the program, or another constant follows from it.
        """
        marks, targets = _marks(weights), _targets(program, weights)
        _check_uses(program, targets)
        values = {target: torch.from_numpy(marks[name].copy()) for name, target in targets.items()}
        real = {name: weight.numpy() for name, weight in weights.items()}
        return cls(_with_values(program, values), real, marks)

    def twin(self) -> Exchange | None:
        """The same with other marks for the weights that are short; None if none is.

        Nothing but these marks may differ: ExecuTorch orders constants by their hash.
        """
        short = {name: mark for name, mark in self.marks.items() if mark.size < _FEWEST}
        if not short:
            return None
        held = {name: torch.from_numpy(mark.copy()) for name, mark in short.items()}
        others = {name: np.float32(0.75) * mark for name, mark in short.items()}
        values = {
            target: torch.from_numpy(others[name].copy())
            for name, target in _targets(self.program, held).items()
        }
        return replace(self, program=_with_values(self.program, values), marks=self.marks | others)

    def settle(
        self, files: Mapping[str, bytes], graph: str, twin: Twin | None = None
    ) -> tuple[dict[str, bytes], tuple[Constant, ...]]:
        """Find the marks in the files that were written, and write the real weights there.

        Args:
            files: content by name.
            graph: the one that holds the network for eager; it must have all weights too.
            twin: what was written of this one's `twin`.

        Returns:
            The files, and where weights lie in them.

        Raises:
            LostMark: a mark is not there as it was; the files are worth nothing then.
        """
        found = locate(files, self.marks, required=(graph,), twin=twin)
        if found.problem is not None:
            raise LostMark(found.problem)
        return dict(files) | patch(files, found.constants, self.weights), found.constants


def _marks(weights: Mapping[str, Tensor]) -> Arrays:
    """A mark for each weight: as large as a layer's values are, and like no other.

    They depend on names' order and shapes alone, since ExecuTorch files constants under their hash:
    two networks of one kind then differ in nothing but the weights. Biases and single numbers are
    positive, since the network may take a root or a logarithm of them.
    """
    marks = {}
    for number, (name, weight) in enumerate(weights.items()):
        rng = np.random.default_rng([20240306, number])
        scale = float(weight[0].numel()) ** -0.5
        sign = rng.choice(np.array([-1, 1], np.float32), tuple(weight.shape))
        if weight.dim() <= 1:
            sign = np.abs(sign)
        marks[name] = (scale * sign * rng.uniform(0.5, 1.5, weight.shape)).astype(np.float32)
    return marks


def _targets(program: ExportedProgram, weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Under which name the program holds each weight."""
    held = constants_of(program)
    places = {
        spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target
    }
    found: dict[str, str] = {}
    for name, weight in weights.items():
        equal = [key for key, value in held.items() if torch.equal(value, weight)]
        if not equal:
            raise LostMark(f"{name} is no constant of its own in the network")
        # As `Editor.add_constant` names them.
        own = {f"c_{constant_name(name, 'filter')}", f"c_{constant_name(name, 'fixed')}"}
        key = next((key for key in equal if key in own), equal[0])
        held.pop(key)
        found[name] = places[key]
    return found


def _check_uses(program: ExportedProgram, targets: Mapping[str, str]) -> None:
    """Refuse a weight from which another constant follows, which would keep the mark."""
    constants = constants_of(program)
    weights = {target: name for name, target in targets.items()}
    places = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs}
    marked: dict[fx.Node, str] = {}
    known: set[fx.Node] = set()
    for node in program.graph.nodes:
        operands = node.all_input_nodes
        if node.op == "placeholder" and node.name in constants:
            known.add(node)
            if places[node.name] in weights:
                marked[node] = weights[places[node.name]]
        elif node.op == "call_function" and operands and known.issuperset(operands):
            known.add(node)
            origin = next((marked[n] for n in operands if n in marked), None)
            if origin is not None and node.target in MOVEMENTS:
                marked[node] = origin
            elif origin is not None:
                raise LostMark(f"{layer_of(node)} computes another constant from {origin}")


def _with_values(program: ExportedProgram, values: Mapping[str, Tensor]) -> ExportedProgram:
    """`program` with other values for some of its constants."""
    state, constants = dict(program.state_dict), dict(program.constants)
    for target, value in values.items():
        holder = state if target in state else constants
        trained = isinstance(holder[target], nn.Parameter)
        holder[target] = nn.Parameter(value, requires_grad=False) if trained else value
    return rebuilt(program, Parts(state=state, constants=constants))
