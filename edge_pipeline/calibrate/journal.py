"""The file in which a calibration keeps its measurements, so that it can be continued."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    TypeAdapter,
    ValidationError,
)

from edge_pipeline.calibrate.grid import Layer
from edge_pipeline.compiler.lowering.cost_model import CostSample
from edge_pipeline.errors import InputError, OutputError, first_fault
from edge_pipeline.record import Environment

__all__ = ["Journal", "Machine", "Peak", "Refused", "Sample"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Entry):
    """The device of the measurements, written once.

    Attributes:
        device: Name of the device.
        emulated: Whether costs are numbers of instructions.
        environment: Description of the machine before the first measurement.
    """

    kind: Literal["machine"] = "machine"
    device: str
    emulated: bool
    environment: Environment


class Peak(_Entry):
    """Peak speed in one backend's runtime.

    Attributes:
        backend: Name of the backend.
        least_per_gflop: Milliseconds, or millions of instructions, per GFLOP of a convolution.
        copy_gb_s: Bytes that are read and written per second, in 1e9; None without times.
        versions: Versions of the runtime and its packages on the device.
        instructions: Description of how instructions were counted; empty for times.
    """

    kind: Literal["peak"] = "peak"
    backend: str
    least_per_gflop: PositiveFloat
    copy_gb_s: PositiveFloat | None
    versions: dict[str, str]
    instructions: str = ""


class Sample(_Entry):
    """A measured algorithm of a layer."""

    kind: Literal["sample"] = "sample"
    sample: CostSample


class Refused(_Entry):
    """An algorithm that a backend or the device cannot run."""

    kind: Literal["refused"] = "refused"
    backend: str
    form: str
    strip_bytes: NonNegativeInt
    layer: Layer
    reason: str


Entry = Machine | Peak | Sample | Refused
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


class Journal:
    """A file of JSON lines; an unfinished last line of an interrupted process is ignored.

    Args:
        path: The file, which is created at the first entry.

    Raises:
        InputError: If the file is not a journal of a calibration.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Entry] = []
        if not path.exists():
            return
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self.entries.append(_ENTRY.validate_json(line))
            except ValidationError as error:
                where, reason = first_fault(error, "the top")
                raise InputError(
                    f"{path}, line {number}, is not a measurement of a calibration: at {where}, "
                    f"{reason}; remove the file to start again"
                ) from error

    @property
    def machine(self) -> Machine | None:
        """The device; None before the first measurement."""
        return next((entry for entry in self.entries if isinstance(entry, Machine)), None)

    @property
    def peaks(self) -> dict[str, Peak]:
        """Peaks by the name of the backend."""
        return {entry.backend: entry for entry in self.entries if isinstance(entry, Peak)}

    @property
    def samples(self) -> list[CostSample]:
        """All samples, in the order in which they were measured."""
        return [entry.sample for entry in self.entries if isinstance(entry, Sample)]

    @property
    def refused(self) -> list[Refused]:
        """All algorithms that could not be measured."""
        return [entry for entry in self.entries if isinstance(entry, Refused)]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing the same file during the block.

        Raises:
            InputError: If another process writes it.
            OutputError: If the file cannot be created.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise InputError(
                        f"another calibration writes {self.path}; wait for it, or give another -o"
                    ) from None
                try:
                    yield
                finally:
                    if not self.entries:
                        self.path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries; all of them are in the file afterwards, or none.

        Raises:
            OutputError: If the file cannot be written.
        """
        content = "".join(entry.model_dump_json() + "\n" for entry in entries).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("r+b" if self.path.exists() else "x+b", buffering=0) as file:
                end = self.path.read_bytes().rfind(b"\n") + 1
                file.truncate(end)
                file.seek(end)
                _write(file.fileno(), content, end)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error
        self.entries += entries


def _write(descriptor: int, content: bytes, end: int) -> None:
    """Write all of `content`; if that fails, cut the file at `end`."""
    left = memoryview(content)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        os.truncate(descriptor, end)
        raise
