"""A user's request to the compiler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_pipeline.artifact.manifest import WeightsForm
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.source.description import Description
from edge_pipeline.compiler.source.naming import InputShape
from edge_pipeline.device_profile import DEFAULT_DEVICE
from edge_pipeline.raw.windows import VIEW

__all__ = ["CompileRequest"]


@dataclass(frozen=True)
class CompileRequest:
    """What to compile, how, and where to.

    Attributes:
        source: a checkpoint's path, or a registered network's name for fresh weights.
        output: the artifact's folder.
        backend: as in the registry.
        options: of a registered network; a checkpoint has its own.
        filters: `dynamic`, `folded`, `split` or `refolded`.
        precision: of weights and arithmetic.
        calibration: captures or pictures for folding and for int8, or folders of them; those that
            come with the project when empty.
        validation: likewise, on which the loss of folding and of precision is measured; those of
            `accuracy.trial_for` when empty.
        size: height and width of the first input. A backend with fixed sizes compiles for it (the
            network's own default when left out); one with free sizes makes its reference of it.
        seed: of fresh weights; 0 when left out.
        window: side of what a separate predictor sees at most, in pixels of the input.
        device: the profile in `devices/` by whose measured costs convolutions are lowered.
        allowed: operators that may stay outside the delegate, by name.
        tflite_runtime: for LiteRT, the interpreter of an environment with tflite-runtime 2.14 to
            check the file with; without one, the manifest says that it needs LiteRT.
        force: replace an artifact that stands at `output`.
        inputs: shapes by name, of a network from a user's own code.
        weights: of such a network: safetensors, `.pt` or `.pth`.
        fixed: values by name, for parameters of the network's `forward` that are no inputs.
        respecialisable: whether the artifact carries the weights at other values of the number
            that is fixed, for `respecialise`.
        description: of such a network, by its author; what is left out is inferred.
        free_sizes: leave height and width of such a network open, on backends that can.
    """

    source: str | Path
    output: Path
    backend: str
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    filters: WeightsForm = "dynamic"
    precision: Precision = "fp32"
    calibration: tuple[Path, ...] = ()
    validation: tuple[Path, ...] = ()
    size: tuple[int, int] | None = None
    seed: int | None = None
    window: int = VIEW
    device: str = DEFAULT_DEVICE
    allowed: frozenset[str] = frozenset()
    tflite_runtime: Path | None = None
    force: bool = False
    inputs: Mapping[str, InputShape] = field(default_factory=dict)
    weights: Path | None = None
    fixed: Mapping[str, object] = field(default_factory=dict)
    description: Description | None = None
    free_sizes: bool = False
    respecialisable: bool = False
