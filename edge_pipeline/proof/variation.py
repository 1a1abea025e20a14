"""How the outputs of a program vary over different inputs, by which their errors are judged."""

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
    """The program with the standard deviations of its outputs over different inputs.

    An output that is not finite for such inputs has none.

    Args:
        spec: the program.
        reference: its reference input, whose shapes the different inputs have.
        run: what eager gives for an input.
    """
    given = [run(inputs) for inputs in varied_inputs(spec, reference)]
    found = {t.name: variation([one[t.name] for one in given]) for t in spec.outputs}
    known = {name: value for name, value in found.items() if math.isfinite(value)}
    return spec.model_copy(update={"variation": known})
