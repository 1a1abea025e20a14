"""What a backend's module offers, what it is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Checked, Delegation
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.device_profile import load_device
from edge_pipeline.errors import InputError
from edge_pipeline.registry import BACKENDS

__all__ = ["Backend", "EmitOptions", "Emitted", "half_notes", "open_backend"]


@dataclass(frozen=True)
class EmitOptions:
    """How a program is to be written.

    Attributes:
        name: the program's, which its files begin with.
        inputs: names for its inputs, in order.
        outputs: names for its outputs, in order.
        precision: of weights and arithmetic; inputs and outputs are float32 in all.
        samples: for int8, inputs on which ranges are observed, each as the program takes them.
        allowed: operators that may stay outside the delegate, by name, such as `grid_sampler_2d`.
        arch: the target's processor, as uname has it.
    """

    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    precision: Precision = "fp32"
    samples: Sequence[tuple[Tensor, ...]] = ()
    allowed: frozenset[str] = frozenset()
    arch: str = "aarch64"


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

    def emit(self, program: ExportedProgram, options: EmitOptions) -> Emitted:
        """Write `program` in the runtime's format.

        Args:
            program: after this backend's passes.
            options: how.

        Raises:
            CompileError: the format cannot take it; the layer and the reason are named, and what
                would help.
        """
        ...


def open_backend(name: str, precision: Precision, device: str) -> Backend:
    """The backend that a user asks for, if it can write what is asked for the device.

    Args:
        name: as in the registry.
        precision: of weights and arithmetic.
        device: the profile of the target.

    Raises:
        UnknownNameError: no backend has that name; those that there are are listed.
        InputError: it does not write this precision, or no device has that name; likewise.
    """
    backend = cast(Backend, BACKENDS.load(name))
    if precision not in backend.PRECISIONS:
        raise InputError(
            f"{name} cannot be written in {precision}; it takes {', '.join(backend.PRECISIONS)}"
        )
    load_device(device)
    return backend


def half_notes(options: EmitOptions, reason: str) -> tuple[str, ...]:
    """A note that float16 gains no time on the target, if it is an x86 processor.

    Args:
        options: how the program is written.
        reason: a clause that says why, with the measured time.
    """
    if options.precision != "fp16" or options.arch != "x86_64":
        return ()
    return (f"float16 gains no time on x86: {reason}; it is for ARM, or to halve the file",)
