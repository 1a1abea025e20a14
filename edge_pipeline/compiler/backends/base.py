"""The interface of a backend: its module, its options and its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked, Delegation
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.device_profile import load_profile
from edge_pipeline.errors import InputError
from edge_pipeline.registry import BACKENDS

__all__ = [
    "Backend",
    "EmitOptions",
    "EmitSeveral",
    "Emitted",
    "StoredSize",
    "half_notes",
    "open_backend",
]


@dataclass(frozen=True)
class EmitOptions:
    """Options for writing a program.

    Attributes:
        name: Name of the program; the names of its files begin with it.
        inputs: Names for the program's inputs, in order.
        outputs: Names for the program's outputs, in order.
        precision: Precision of weights and arithmetic. A session's inputs and outputs are float32
            in every precision.
        samples: For int8, inputs of the program on which value ranges are observed.
        least_db: For int8, PSNR that the outputs must reach by the estimated noise; the layers with
            the largest error stay in float32. None quantises all layers that the backend can.
        in_float: For int8, fingerprints of the weights of layers that stay in float32; if there are
            any, operators without weights stay in float32, too.
        allowed: Names of operators that may stay outside the delegate, such as `grid_sampler_2d`.
        arch: Processor architecture of the target, as `uname -m` prints it.
        stored: Files of the artifact's other programs, by name; if the format allows it, equal
            weights are not stored again.
        movable: Whether the output size of each resize is stored separately, so that it can be
            changed later; only for a backend with `MOVABLE`.
    """

    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    precision: Precision = "fp32"
    samples: Sequence[tuple[Tensor, ...]] = ()
    least_db: float | None = None
    in_float: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    arch: str = "aarch64"
    stored: Mapping[str, bytes] = field(default_factory=dict)
    movable: bool = False


@dataclass(frozen=True)
class StoredSize:
    """A map size in a program's file.

    Attributes:
        offset: Byte offset of the size, int64 and little endian.
        axis: Axis of the map, counted from the last (-1).
        size: The size.
    """

    offset: int
    axis: int
    size: int


@dataclass(frozen=True)
class Emitted:
    """A program in a runtime's own format.

    Attributes:
        file: Name of the model file in `files`, or of the folder that contains all of them.
        files: Contents by file name; the names begin with the program's name.
        delegation: Operators that the delegate runs, and operators that stay outside it.
        notes: Notes for a user of the file, one sentence each.
        shared: Names of other programs' files that the program also requires.
        sizes: Sizes to which maps are resized, if they were requested to be `movable`.
    """

    file: str
    files: Mapping[str, bytes]
    delegation: Delegation
    notes: tuple[str, ...] = field(default=())
    shared: tuple[str, ...] = ()
    sizes: tuple[StoredSize, ...] = ()


class Backend(Protocol):
    """A module listed in `registry.BACKENDS`; `pipeline.PIPELINES` lists its passes.

    Attributes:
        FREE_SIZES: Whether a program may have free height and width.
        PRECISIONS: Precisions that the backend can write.

    A backend whose files can contain several programs also has a function `emit_several`; see
    `EmitSeveral`.
    """

    FREE_SIZES: bool
    PRECISIONS: tuple[Precision, ...]

    def checked(self) -> Checked:
        """Return how far this machine can check the written programs."""
        ...

    def require(self) -> dict[str, str]:
        """Return the versions of the tools that the backend uses, by name.

        Raises:
            MissingExtraError: If a tool is not installed.
        """
        ...

    def emit(self, program: ExportedProgram, options: EmitOptions) -> Emitted:
        """Write `program` in the runtime's format.

        Args:
            program: Program after this backend's passes.
            options: Names, precision and permissions of the program.

        Raises:
            CompileError: If the format cannot represent the program; the message names the layer,
                the reason and a remedy.
        """
        ...


class EmitSeveral(Protocol):
    """The function `emit_several` of a backend."""

    def __call__(
        self, programs: Sequence[ExportedProgram], options: Sequence[EmitOptions], name: str
    ) -> tuple[Emitted, ...]:
        """Write programs into one file, in which equal constants are stored once.

        Args:
            programs: Programs after this backend's passes.
            options: Options of each program; their names are those of the file's methods.
            name: Name with which the names of all files begin.

        Returns:
            The programs, all of them with the same file and files.

        Raises:
            CompileError: As for `Backend.emit`.
        """
        ...


def open_backend(name: str, precision: Precision, target: str) -> Backend:
    """Return the backend called `name`, after a check of the precision and the target.

    Args:
        name: Name of the backend in the registry.
        precision: Precision of weights and arithmetic.
        target: Name of the device profile.

    Raises:
        UnknownNameError: If no backend has this name; the message lists the known names.
        InputError: If the backend does not support the precision, or no profile has this name; the
            message lists the alternatives.
    """
    backend = cast(Backend, BACKENDS.load(name))
    if precision not in backend.PRECISIONS:
        raise InputError(
            f"the backend {name} does not support {precision}; it supports "
            f"{', '.join(backend.PRECISIONS)}"
        )
    load_profile(target)
    return backend


def half_notes(options: EmitOptions, reason: str) -> tuple[str, ...]:
    """Return a note that float16 is not faster, if the program is float16 and the target is x86.

    Args:
        options: Options of the program.
        reason: Clause that states the reason, with the measured time if known.
    """
    if options.precision != "fp16" or options.arch != "x86_64":
        return ()
    return (f"float16 is not faster on x86: {reason}; use it on ARM, or to halve the file size",)
