"""Weights that can be exchanged: which constants of a program they are, and marks in their place.

A program is written with marks, random numbers that occur nowhere else, in the place of the weights
that a user may exchange later. Where their bytes turn up in the files is where weights lie; the
real ones are then written there by the function that `respecialise` uses. So every artifact with
exchangeable weights is itself made by exchanging them, and two weights that happen to be equal are
never merged into one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import constants_of

__all__ = ["marked", "marks_for"]


def marks_for(weights: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """A mark for each weight: as large as its values are, and like no other.

    Args:
        weights: by name.
    """
    marks = {}
    for number, (name, weight) in enumerate(weights.items()):
        rng = np.random.default_rng([20240306, number])
        scale = float(weight.abs().mean()) or 1.0
        marks[name] = (scale * rng.uniform(0.5, 1.5, weight.shape)).astype(np.float32)
        marks[name] *= rng.choice(np.array([-1, 1], np.float32), weight.shape)
    return marks


def marked(
    program: ExportedProgram,
    weights: Mapping[str, Tensor],
    marks: Mapping[str, NDArray[np.float32]],
) -> ExportedProgram | None:
    """`program` with marks in the place of weights; None if a weight is no constant of its own.

    Args:
        program: as exported, or specialised.
        weights: by name; constants are known by their values.
        marks: by name, of the weights' shapes.
    """
    left = constants_of(program)
    targets = {
        spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target
    }
    state, constants = dict(program.state_dict), dict(program.constants)
    for name, weight in weights.items():
        same = (key for key, value in left.items() if torch.equal(value, weight))
        found = next(same, None)
        if found is None:
            return None
        left.pop(found)
        holder = state if targets[found] in state else constants
        holder[targets[found]] = torch.from_numpy(marks[name].copy())
    return ExportedProgram(
        root=program.graph_module,
        graph=program.graph,
        graph_signature=copy.deepcopy(program.graph_signature),
        state_dict=state,
        range_constraints=copy.deepcopy(program.range_constraints),
        module_call_graph=copy.deepcopy(program.module_call_graph),
        example_inputs=program.example_inputs,
        constants=constants,
        verifiers=list(program.verifiers),
    )
