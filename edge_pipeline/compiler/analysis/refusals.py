"""The message for operators that a compiled program must not have: all of them, a line each."""

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
        layer: as `layer_of` gives it.
        line: of the source, `FILE:LINE`; empty if it is not known.
        problem: what is wrong with the operator, by its name.
        remedy: what helps, as a clause.
    """

    layer: str
    line: str
    problem: str
    remedy: str

    @classmethod
    def of(cls, node: fx.Node, problem: str, remedy: str) -> Refused:
        """The refusal of `node`."""
        return cls(layer_of(node), line_of(node), problem, remedy)

    def text(self) -> str:
        """One line: layer, source line, problem, remedy."""
        known = self.line and self.line not in self.layer
        place = f"{self.layer} ({self.line})" if known else self.layer
        return f"{place}: {self.problem}; {self.remedy}"


def refusal(heading: str, refused: Sequence[Refused]) -> str:
    """The whole message.

    Args:
        heading: what is wrong with all of them, as a clause without a full stop.
        refused: in the order of computation, at least one.

    Returns:
        One line if there is one operator; else the heading and a line for each that differs, with
        their number.
    """
    counts: dict[str, int] = {}
    for one in refused:
        counts[one.text()] = counts.get(one.text(), 0) + 1
    lines = [text + (f" ({count} times)" if count > 1 else "") for text, count in counts.items()]
    if len(refused) == 1:
        return lines[0]
    return "\n  ".join([f"{heading}:", *lines])
