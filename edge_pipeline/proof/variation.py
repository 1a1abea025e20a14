"""Variation of a program's outputs over different inputs, the scale for judging their errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.compare import variation
from edge_pipeline.runtime.inputs import varied_inputs

__all__ = ["with_variation"]

Arrays = dict[str, NDArray[np.float32]]


def with_variation(
    spec: ProgramSpec, reference: Arrays, run: Callable[[Arrays], Arrays]
) -> ProgramSpec:
    """Return the program with the standard deviations of its outputs over different inputs.

    An output that is not finite for these inputs is left out.

    Args:
        spec: The program.
        reference: Reference inputs of the program; the different inputs have their shapes.
        run: Function that returns eager's outputs for given inputs.
    """
    given = [run(inputs) for inputs in varied_inputs(spec, reference)]
    found = {t.name: variation([one[t.name] for one in given]) for t in spec.outputs}
    known = {name: value for name, value in found.items() if math.isfinite(value)}
    return spec.model_copy(update={"variation": known})
