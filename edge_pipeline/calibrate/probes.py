"""Small artifacts to measure: a convolution by one algorithm, or a chain of additions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from edge_pipeline.artifact.draft import drafted_artifact, reference_bytes
from edge_pipeline.artifact.manifest import Manifest, ProgramSpec, Tile
from edge_pipeline.artifact.provenance import ModelCard, Source
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.backends.base import Backend, EmitOptions, Emitted
from edge_pipeline.compiler.lowering.convolution import ConvPlan
from edge_pipeline.compiler.lowering.cost_model import CONSTANT, NATIVE, Call
from edge_pipeline.compiler.passes.lower_convolution import LowerConvolution
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.compiler.program import Pass
from edge_pipeline.compiler.proof import prove
from edge_pipeline.compiler.source.reference import macs_of
from edge_pipeline.registry import BACKENDS

__all__ = ["CHAIN_BYTES", "Chain", "Probe", "convolution_probe", "write_probe"]

_LETTERS = {1: "N", 4: "NCHW"}
_ROWS, _COLUMNS, _CHANNELS = 2048, 1024, 8
CHAIN_BYTES = 4 * _ROWS * _COLUMNS * _CHANNELS
"""Size of the map to which a `Chain` adds."""


class _Convolution(nn.Module):
    """A pooling, then the layer unless `plan` is None; computed weights are inputs times two.

    The pooling makes a runtime that transposes its feature maps pay for this as in a network.
    """

    def __init__(self, call: Call, plan: ConvPlan | None) -> None:
        super().__init__()
        self.call, self.plan = call, plan
        rng = torch.Generator().manual_seed(0)
        self.register_buffer("weight", torch.randn(call.weight, generator=rng) / 8)
        self.register_buffer("bias", torch.randn(call.weight[0], generator=rng))

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(x, 3, 1, 1)
        if self.plan is None:
            return x
        if self.plan == CONSTANT:
            weight, bias = self.get_buffer("weight"), self.get_buffer("bias")
        else:
            weight, bias = weight * 2.0, bias * 2.0
        amount = self.call.geometry.padding.rows
        if amount:
            x = nn.functional.pad(x, (amount,) * 4, mode="reflect")
        return torch.conv2d(x, weight, bias)


class Chain(nn.Module):
    """A map of 64 MiB, made from two small inputs, `additions` additions to it, and a pooling."""

    def __init__(self, additions: int) -> None:
        super().__init__()
        self.additions = additions

    def forward(self, rows: Tensor, columns: Tensor, step: Tensor) -> Tensor:
        """Return the largest values of blocks of 8 x 8, [1, 8, 256, 128]."""
        y = rows + columns
        for _ in range(self.additions):
            y = y + step
        return nn.functional.max_pool2d(y, 8)

    @staticmethod
    def example() -> dict[str, Tensor]:
        """Return inputs by name."""
        return {
            "rows": torch.rand(1, _CHANNELS, _ROWS, 1, generator=torch.Generator().manual_seed(1)),
            "columns": torch.rand(1, 1, 1, _COLUMNS, generator=torch.Generator().manual_seed(2)),
            "step": torch.full((1, 1, 1, 1), 0.5),
        }


@dataclass(frozen=True)
class Probe:
    """A program to measure.

    Attributes:
        label: Description for the manifest and for messages.
        module: The network.
        inputs: Inputs by name, in the order of `forward`.
        plan: Plan of its convolution; None if it has no convolution, or for the runtime's own.
    """

    label: str
    module: nn.Module
    inputs: dict[str, Tensor]
    plan: ConvPlan | None = None


def convolution_probe(call: Call, plan: ConvPlan | None) -> Probe:
    """Return the program of a convolution by a plan; without the layer if the plan is None."""
    module = _Convolution(call, plan)
    n_in = call.weight[1] * call.geometry.groups
    x = torch.rand(1, n_in, *call.size, generator=torch.Generator().manual_seed(1))
    # Copies, because torch would treat an input that is the buffer itself as the buffer.
    inputs = {
        "x": x,
        "weight": module.get_buffer("weight").clone(),
        "bias": module.get_buffer("bias").clone(),
    }
    sizes = "x".join(map(str, (*call.weight, *call.size)))
    label = f"{plan or 'no layer'} {sizes}"
    return Probe(label, module, inputs, None if plan in (CONSTANT, NATIVE) else plan)


def write_probe(folder: Path, backend: str, probe: Probe) -> None:
    """Compile a program by the backend's own passes, check it, and write its artifact.

    Args:
        folder: Folder of the artifact, which does not exist.
        backend: Name of the backend.
        probe: The program.

    Raises:
        CompileError: If the backend does not support the program, or its outputs are wrong.
        MissingExtraError: If the backend's packages are not installed.
    """
    writer = cast(Backend, BACKENDS.load(backend))
    tools = writer.require()
    inputs = tuple(probe.inputs.values())
    source = torch.export.export(probe.module.eval(), inputs).run_decompositions({})
    program = run_passes(source, _passes(backend, probe.plan), inputs)
    emitted = writer.emit(program, EmitOptions("forward", tuple(probe.inputs), ("y",)))
    with torch.no_grad():
        result = probe.module(*inputs)
    spec = _spec(emitted, probe, result, macs_of(source, inputs))
    arrays = {name: value.numpy() for name, value in probe.inputs.items()}
    checked = writer.checked()
    with drafted_artifact(folder, force=False) as draft:
        draft.add({**emitted.files, spec.reference: reference_bytes(arrays, {"y": result.numpy()})})
        if checked != "not_run":
            prove(draft.folder, backend, [spec], "fp32", "features")
        manifest = Manifest(
            source=Source(model="calibration", options={"program": probe.label}, seed=0),
            backend=backend,
            filters="dynamic",
            checked=checked,
            programs=(spec,),
            tile=Tile(stride=1, halo=None, scale=1),
            card=_card(probe.label),
            tools=tools,
            created=datetime.now(UTC),
        )
        draft.seal(manifest)


def _card(label: str) -> ModelCard:
    return ModelCard(
        name="calibration probe",
        description=f"A program to measure a device: {label}.",
        input_space="features",
        output_space="features",
        training_data=(),
        licence="Apache-2.0",
    )


def _passes(backend: str, plan: ConvPlan | None) -> Sequence[Pass]:
    """Return the backend's passes with `plan` instead of the choice by costs."""
    lowering = [] if plan is None else [LowerConvolution(backend, plan=plan)]
    steps: list[Pass] = []
    for step in passes_for(backend):
        steps += lowering if isinstance(step, LowerConvolution) else [step]
    # A backend whose pipeline has no lowering is measured too, to find out whether it should have.
    return steps if any(step in lowering for step in steps) else [*steps[:2], *lowering, *steps[2:]]


def _spec(emitted: Emitted, probe: Probe, output: Tensor, macs: int) -> ProgramSpec:
    def tensor(name: str, value: Tensor) -> TensorSpec:
        layout = _LETTERS[value.dim()]
        return TensorSpec(name=name, shape=tuple(value.shape), layout=layout, meaning="a probe")

    return ProgramSpec(
        name="forward",
        file=emitted.file,
        extra=tuple(
            f for f in emitted.files if f != emitted.file and not f.startswith(f"{emitted.file}/")
        ),
        inputs=tuple(tensor(name, value) for name, value in probe.inputs.items()),
        outputs=(tensor("y", output),),
        macs=macs,
        flops=2 * macs,
        delegation=emitted.delegation,
        reference="forward.reference.safetensors",
    )
