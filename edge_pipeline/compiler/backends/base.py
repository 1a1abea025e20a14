"""What a backend's module offers, what it is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked, Delegation
from edge_pipeline.artifact.schema import Precision

__all__ = ["Backend", "Emitted", "Order"]


@dataclass(frozen=True)
class Order:
    """How a program is to be written.

    Attributes:
        name: the program's, which its files begin with.
        inputs: names for its inputs, in order.
        outputs: names for its outputs, in order.
        precision: of weights and arithmetic; inputs and outputs are float32 in all.
        samples: for int8, inputs on which ranges are observed, each as the program takes them.
        allowed: operators that may stay outside the delegate, by name, such as `grid_sampler_2d`.
    """

    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    precision: Precision = "fp32"
    samples: Sequence[tuple[Tensor, ...]] = ()
    allowed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Emitted:
    """A program in a runtime's own format.

    Attributes:
        file: the model file in `files`, or the folder that all of them lie in.
        files: content by name; names begin with the program's.
        delegation: which operators the delegate runs and which stay outside.
        notes: what a user of the file should know, a sentence each.
    """

    file: str
    files: Mapping[str, bytes]
    delegation: Delegation
    notes: tuple[str, ...] = field(default=())


class Backend(Protocol):
    """A module of this folder, listed in `registry.BACKENDS`; its passes in `pipeline.PIPELINES`.

    Attributes:
        FREE_SIZES: whether height and width may be left open.
        PRECISIONS: those it can write.
    """

    FREE_SIZES: bool
    PRECISIONS: tuple[Precision, ...]

    def checked(self) -> Checked:
        """How far what it writes can be checked on this machine."""
        ...

    def require(self) -> dict[str, str]:
        """The tools it uses, by name, with their versions.

        Raises:
            MissingExtraError: one is not installed.
        """
        ...

    def emit(self, program: ExportedProgram, order: Order) -> Emitted:
        """Write `program` in the runtime's format.

        Args:
            program: after this backend's passes.
            order: how.

        Raises:
            CompileError: the format cannot take it; the layer and the reason are named, and what
                would help.
        """
        ...
