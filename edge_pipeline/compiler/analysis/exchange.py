"""Make weights exchangeable: write markers in their place, and find the markers in the files.

A program is written with markers, random numbers that occur nowhere else, in place of the weights
that a user may exchange. The positions of the markers' bytes in the files are the positions of the
weights. The function that `respecialise` uses then writes the real weights there. So every artifact
with exchangeable weights is itself made by exchanging them, and equal weights are never merged.

In half precision the bias of a single class has two bytes, which occur by chance in any file. A
network with such weights is written twice, each time with other markers for them. These weights lie
where each of the two files has its own marker.
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

__all__ = ["Exchange", "LostMarker", "constant_name"]

Arrays = dict[str, NDArray[np.float32]]

# In half precision, the bytes of markers with fewer numbers than this occur by chance.
_FEWEST = 4


def constant_name(weight: str, kind: Literal["filter", "fixed"] = "filter") -> str:
    """Return the name (letters, digits and underscores) of the constant for a weight.

    Args:
        weight: Name of the weight, such as `conv1.weight`.
        kind: `filter` if the weight was computed from data, `fixed` if from fixed values.
    """
    return f"{kind}_" + "".join(c if c.isalnum() else "_" for c in weight)


class LostMarker(Exception):  # noqa: N818 - caught by `build`, never shown
    """A marker was lost or changed by the passes or by the backend."""


@dataclass(frozen=True)
class Exchange:
    """A program to write, with markers in place of weights.

    Attributes:
        program: The program to write; it contains the markers.
        weights: The real weights by name.
        markers: The markers, by the name of the weight that each replaces.
    """

    program: ExportedProgram
    weights: Arrays
    markers: Arrays

    @classmethod
    def of(
        cls, program: ExportedProgram, weights: Mapping[str, Tensor], number: int = 0
    ) -> Exchange:
        """Replace each weight of a program by a marker.

        Args:
            program: An exported or specialised program.
            weights: Weights by name. Each is found among the program's constants by its value, and
                among constants of equal value by `constant_name`.
            number: Number of the program among those of one file, which have different markers.

        Raises:
            LostMarker: If a weight is not a constant of the program, or if another constant is
                computed from it.
        """
        markers, targets = _markers(weights, number), _targets(program, weights)
        _check_uses(program, targets)
        values = {
            target: torch.from_numpy(markers[name].copy()) for name, target in targets.items()
        }
        real = {name: weight.numpy() for name, weight in weights.items()}
        return cls(_with_values(program, values), real, markers)

    def twin(self) -> Exchange | None:
        """Return the same program with other markers for short weights; None if no weight is short.

        Only these markers may differ, since ExecuTorch orders constants by their hash.
        """
        short = {name: marker for name, marker in self.markers.items() if marker.size < _FEWEST}
        if not short:
            return None
        held = {name: torch.from_numpy(marker.copy()) for name, marker in short.items()}
        others = {name: np.float32(0.75) * marker for name, marker in short.items()}
        values = {
            target: torch.from_numpy(others[name].copy())
            for name, target in _targets(self.program, held).items()
        }
        return replace(
            self, program=_with_values(self.program, values), markers=self.markers | others
        )

    def settle(
        self, files: Mapping[str, bytes], graph: str, twin: Twin | None = None
    ) -> tuple[dict[str, bytes], tuple[Constant, ...]]:
        """Find the markers in the written files, and replace them by the real weights.

        Args:
            files: Contents of the files by name.
            graph: Name of the file with the network for eager; it must contain all weights too.
            twin: Files and markers of this exchange's `twin`, if it was written.

        Returns:
            The files with the real weights, and the positions of the weights in them.

        Raises:
            LostMarker: If a marker is missing or changed; the files are then unusable.
        """
        found = locate(files, self.markers, required=(graph,), twin=twin)
        if found.problem is not None:
            raise LostMarker(found.problem)
        return dict(files) | patch(files, found.constants, self.weights), found.constants


def _markers(weights: Mapping[str, Tensor], program: int) -> Arrays:
    """Return a unique marker for each weight, of the magnitude of a layer's usual weights.

    Marks depend only on shapes and on the order of names, since ExecuTorch stores constants by
    hash: two networks of one architecture then differ only in the weights. Marks of biases and
    single numbers are positive, since the network may compute their root or logarithm.
    """
    markers = {}
    for number, (name, weight) in enumerate(weights.items()):
        rng = np.random.default_rng([20240306, number, *([program] if program else [])])
        scale = float(weight[0].numel()) ** -0.5
        sign = rng.choice(np.array([-1, 1], np.float32), tuple(weight.shape))
        if weight.dim() <= 1:
            sign = np.abs(sign)
        markers[name] = (scale * sign * rng.uniform(0.5, 1.5, weight.shape)).astype(np.float32)
    return markers


def _targets(program: ExportedProgram, weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the name of each weight's constant in the program."""
    held = constants_of(program)
    places = {
        spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target
    }
    found: dict[str, str] = {}
    for name, weight in weights.items():
        equal = [key for key, value in held.items() if torch.equal(value, weight)]
        if not equal:
            raise LostMarker(f"{name} is not a separate constant of the network")
        # The names that `Editor.add_constant` makes.
        own = {f"c_{constant_name(name, 'filter')}", f"c_{constant_name(name, 'fixed')}"}
        key = next((key for key in equal if key in own), equal[0])
        held.pop(key)
        found[name] = places[key]
    return found


def _check_uses(program: ExportedProgram, targets: Mapping[str, str]) -> None:
    """Raise LostMarker if another constant is computed from a weight; it would keep the marker."""
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
                raise LostMarker(f"{layer_of(node)} computes another constant from {origin}")


def _with_values(program: ExportedProgram, values: Mapping[str, Tensor]) -> ExportedProgram:
    """Return `program` with other values for some of its constants."""
    state, constants = dict(program.state_dict), dict(program.constants)
    for target, value in values.items():
        holder = state if target in state else constants
        trained = isinstance(holder[target], nn.Parameter)
        holder[target] = nn.Parameter(value, requires_grad=False) if trained else value
    return rebuilt(program, Parts(state=state, constants=constants))
