"""Build the message that lists the operators that a compiled program must not contain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import fx

from edge_pipeline.compiler.analysis.origin import layer_of, line_of

__all__ = ["Refused", "refusal"]


@dataclass(frozen=True)
class Refused:
    """An operator that is refused.

    Attributes:
        layer: Layer of the operator, as returned by `layer_of`.
        line: Line of the source, `FILE:LINE`; empty if unknown.
        problem: Reason for the refusal, a clause that names the operator.
        remedy: Remedy, a clause.
    """

    layer: str
    line: str
    problem: str
    remedy: str

    @classmethod
    def of(cls, node: fx.Node, problem: str, remedy: str) -> Refused:
        """Return the refusal of `node`."""
        return cls(layer_of(node), line_of(node), problem, remedy)

    def text(self) -> str:
        """Return one line: layer, source line, problem, remedy."""
        known = self.line and self.line not in self.layer
        place = f"{self.layer} ({self.line})" if known else self.layer
        return f"{place}: {self.problem}; {self.remedy}"


def refusal(heading: str, refused: Sequence[Refused]) -> str:
    """Return the message for a list of refused operators.

    Args:
        heading: Problem of all the operators, a clause without a full stop.
        refused: Refused operators in the order of computation; at least one.

    Returns:
        One line if there is one operator; otherwise the heading and one line for each distinct
        text, with the number of its occurrences.
    """
    counts: dict[str, int] = {}
    for one in refused:
        counts[one.text()] = counts.get(one.text(), 0) + 1
    lines = [text + (f" ({count} times)" if count > 1 else "") for text, count in counts.items()]
    if len(refused) == 1:
        return lines[0]
    return "\n  ".join([f"{heading}:", *lines])
