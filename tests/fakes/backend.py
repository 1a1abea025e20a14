"""A backend that writes nothing but the operators it was given, in milliseconds."""

from collections import Counter

from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked, Delegation
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted

__all__ = ["FREE_SIZES", "PRECISIONS", "checked", "emit", "require"]

FREE_SIZES = False
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


def checked() -> Checked:
    """No runtime is for it."""
    return "not_run"


def require() -> dict[str, str]:
    """No tool is needed."""
    return {"fake": "1"}


def emit(program: ExportedProgram, options: EmitOptions) -> Emitted:
    """The names, the operators and the count of samples as text."""
    operators = [str(n.target) for n in program.graph.nodes if n.op == "call_function"]
    said = f"{len(options.samples)} samples"
    text = "\n".join([*options.inputs, "->", *options.outputs, "", *operators, said])
    inside = dict(sorted(Counter(operators).items()))
    file = f"{options.name}.txt"
    delegation = Delegation(delegate="none", delegated=inside, outside={})
    return Emitted(file, {file: text.encode()}, delegation, ("written by a fake",))
