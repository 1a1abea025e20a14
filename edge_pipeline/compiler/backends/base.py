"""What a backend's module offers, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Delegation

__all__ = ["Backend", "Emitted"]


@dataclass(frozen=True)
class Emitted:
    """A program in a runtime's own format.

    Attributes:
        data: the model file's bytes.
        delegation: which operators the delegate runs and which stay outside.
    """

    data: bytes
    delegation: Delegation


class Backend(Protocol):
    """A module of this folder, listed in `registry.BACKENDS`; its passes in `pipeline.PIPELINES`.

    Attributes:
        SUFFIX: of its model files, with the dot.
        FREE_SIZES: whether height and width may be left open.
    """

    SUFFIX: str
    FREE_SIZES: bool

    def require(self) -> dict[str, str]:
        """The tools it uses, by name, with their versions.

        Raises:
            MissingExtraError: one is not installed.
        """
        ...

    def emit(
        self, program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]
    ) -> Emitted:
        """Write `program` in the runtime's format.

        Args:
            program: after this backend's passes.
            inputs: names for its inputs, in order.
            outputs: names for its outputs, in order.

        Raises:
            CompileError: the format cannot take it; the layer and the reason are named.
        """
        ...
