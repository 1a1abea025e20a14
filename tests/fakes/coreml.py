"""Small Core ML packages, written by the backend itself; needs torch and coremltools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor, nn

from edge_pipeline.artifact.manifest import Delegation, ProgramSpec
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted
from edge_pipeline.compiler.backends.coreml import backend as coreml
from edge_pipeline.compiler.passes.state_strides import StateStrides
from tests.programs import exported

__all__ = ["emitted", "spec_of", "written"]


def emitted(
    source: nn.Module | Callable[..., Tensor],
    *inputs: Tensor,
    precision: Precision = "fp32",
    samples: Sequence[tuple[Tensor, ...]] | None = None,
) -> Emitted:
    """A module or function as a package; inputs are called x0, x1, ..., the output y."""
    names = [f"x{i}" for i in range(len(inputs))]
    given = [inputs] if samples is None else samples
    options = EmitOptions("forward", names, ["y"], precision, given if precision == "int8" else ())
    return coreml.emit(StateStrides().run(exported(source, *inputs)).program, options)


def written(files: Emitted, folder: Path) -> Path:
    """The package on disk."""
    for name, data in files.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / files.file


def spec_of(inputs: dict[str, tuple[int, ...]], outputs: dict[str, tuple[int, ...]]) -> ProgramSpec:
    """What a manifest would say of a package with these tensors."""

    def tensor(name: str, shape: tuple[int, ...]) -> TensorSpec:
        return TensorSpec(name=name, shape=shape, layout="NCHWDE"[: len(shape)], meaning="a test's")

    return ProgramSpec(
        name="forward",
        file="forward.mlpackage",
        inputs=tuple(tensor(*item) for item in inputs.items()),
        outputs=tuple(tensor(*item) for item in outputs.items()),
        macs=0,
        flops=0,
        delegation=Delegation(delegate="CoreML", delegated={}, outside={}),
        reference="forward.reference.safetensors",
    )
