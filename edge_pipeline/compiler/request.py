"""The options of a compilation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_pipeline.artifact.manifest import WeightsForm
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.source.description import Description
from edge_pipeline.compiler.source.naming import InputShape
from edge_pipeline.device_profile import DEFAULT_TARGET
from edge_pipeline.raw.windows import VIEW

__all__ = ["CompileRequest"]


@dataclass(frozen=True)
class CompileRequest:
    """A request to the compiler: the source, its options, and the output.

    Attributes:
        source: Path of a checkpoint, name of a registered network for fresh weights, or
            `package.module:factory` for a network from the user's own code.
        output: Folder of the artifact.
        backend: Name of the backend in the registry.
        options: Options of a registered network; a checkpoint contains its own.
        filters: `dynamic`, `folded`, `split` or `refolded`.
        precision: Precision of weights and arithmetic.
        calibration: Captures or pictures for folding and for int8, or folders of them; if empty,
            the project's own set.
        validation: Captures or pictures, or folders of them, on which the loss of folding and of
            precision is measured; if empty, those of `accuracy.trial_for`.
        size: Height and width of the first input; the network's default if None. A backend with
            fixed sizes compiles for this size, others use it for the reference input only.
        seed: Seed of fresh weights; 0 if None.
        window: Largest side of the window that a separate predictor sees, in pixels of the input.
        target: Profile in `devices/` whose measured costs decide how convolutions are lowered.
        allowed: Names of operators that may stay outside the delegate.
        tflite_runtime: Python interpreter of an environment with tflite-runtime 2.14, which checks
            LiteRT programs. If None, the manifest notes that the program requires LiteRT.
        force: Whether to replace an artifact at `output`.
        inputs: Input shapes by name, for a network from the user's own code.
        weights: Weights file of such a network: safetensors, `.pt` or `.pth`.
        fixed: Values by name, for parameters of the network's `forward` that become constants.
        respecialisable: Whether the artifact contains the weights for other values of the fixed
            number, for `respecialise`: in ONNX all values of the trained range, if one program can
            serve them, otherwise those with equal map sizes.
        description: Author's description of such a network; missing fields are inferred.
        free_sizes: Whether height and width of such a network stay free, if the backend can.
        streamed: Whether the artifact also contains a filter predictor that sees a picture tile by
            tile.
        several: Two or more values of one fixed number, by its name and in ascending order; the
            artifact has a program for each, all of them in one file.
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
    target: str = DEFAULT_TARGET
    allowed: frozenset[str] = frozenset()
    tflite_runtime: Path | None = None
    force: bool = False
    inputs: Mapping[str, InputShape] = field(default_factory=dict)
    weights: Path | None = None
    fixed: Mapping[str, object] = field(default_factory=dict)
    description: Description | None = None
    free_sizes: bool = False
    respecialisable: bool = False
    streamed: bool = False
    several: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
