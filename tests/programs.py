"""Small programs to run passes on, and restatements to compare them with."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edge_pipeline.artifact.provenance import ModelCard, Source
from edge_pipeline.compiler.program import Pass, Result, run_program
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.network import SourceNetwork
from tests.quick_export import make_exports_quick

make_exports_quick()

__all__ = ["exported", "lively", "network_of", "run_checked", "targets"]


class _Module(nn.Module):
    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def exported(source: nn.Module | Callable[..., Tensor], *inputs: Tensor) -> ExportedProgram:
    """A module or function as the functional program that passes work on."""
    module = source if isinstance(source, nn.Module) else _Module(source)
    return torch.export.export(module.eval(), inputs).run_decompositions({})


def network_of(
    module: nn.Module, example: tuple[Tensor, ...] = (), *, free_sizes: bool = False
) -> SourceNetwork:
    """A module that describes itself as a network to compile."""
    source = Source(model="of a test", options={}, seed=0)
    card = ModelCard(name="test", description="for tests", training_data=(), licence="none")
    network = SourceNetwork(module.eval(), Geometry.of(module), source, card)
    return network.sized(example, free_sizes=free_sizes)


def targets(program: ExportedProgram) -> list[str]:
    """The operators of a program, in order, such as `conv2d`."""
    return [
        str(node.target).split(".")[1] for node in program.graph.nodes if node.op == "call_function"
    ]


def run_checked(
    step: Pass, program: ExportedProgram, *inputs: Tensor, tolerance: float = 1e-6
) -> Result:
    """Run a pass and hold it to what every pass promises.

    Its result computes the same; `modified` is truthful; it has notes for what it changed; a
    second run changes nothing; the program it was given is as it was.
    """
    before, text = run_program(program, inputs), str(program.graph)
    result = step.run(program)
    assert str(program.graph) == text
    assert result.modified == (str(result.program.graph) != text)
    for new, old in zip(run_program(result.program, inputs), before, strict=True):
        assert new.shape == old.shape
        assert float((new - old).abs().max()) <= tolerance * max(1.0, float(old.abs().max()))
    again = step.run(result.program)
    assert not again.modified
    assert again.program is result.program
    return result


def lively(model: nn.Module) -> nn.Module:
    """`model` with predictors whose filters follow the capture; fresh ones hardly do.

    Without it, a predictor that a compiler broke would pass unseen.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed" in name and name.endswith("weight"):
                parameter *= 3
            if ".outf." in name and name.endswith("bias"):
                parameter.zero_()
            if name.endswith("_basis"):
                parameter += 0.05 * torch.randn_like(parameter)
            if name == "leave.weight":
                parameter *= 30
    return model
