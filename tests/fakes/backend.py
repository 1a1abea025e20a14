"""A backend that writes nothing but the operators it was given, in milliseconds."""

from collections import Counter
from collections.abc import Sequence

from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Delegation
from edge_pipeline.compiler.backends.base import Emitted

__all__ = ["FREE_SIZES", "SUFFIX", "emit", "require"]

SUFFIX = ".txt"
FREE_SIZES = False


def require() -> dict[str, str]:
    """No tool is needed."""
    return {"fake": "1"}


def emit(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> Emitted:
    """The names and the operators as text."""
    operators = [str(n.target) for n in program.graph.nodes if n.op == "call_function"]
    text = "\n".join([*inputs, "->", *outputs, "", *operators])
    inside = dict(sorted(Counter(operators).items()))
    return Emitted(text.encode(), Delegation(delegate="none", delegated=inside, outside={}))
