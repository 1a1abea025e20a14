"""Memory that a compiled program plans for its tensors before it runs.

ExecuTorch's files state it. LiteRT plans its arena when it loads a program, after XNNPACK took its
operators, and its Python package does not tell the size; ONNX Runtime plans no arena.

Source: ExecuTorch, `schema/program.fbs`; FlatBuffers, "FlatBuffer Internals".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError

__all__ = ["planned_arena_bytes"]

_BACKEND = "executorch"
# Numbers of the fields `Program.execution_plan`, `ExecutionPlan.name` and
# `ExecutionPlan.non_const_buffer_sizes`.
_PLANS, _NAME, _SIZES = 1, 0, 8


def planned_arena_bytes(artifact: Artifact, program: str) -> int | None:
    """Return the bytes that a program plans for its activations, or None if it has no plan.

    The plan of an ExecuTorch program contains the tensors between its operators and delegates. It
    does not contain the workspace in which a delegate such as XNNPACK keeps its own tensors, so it
    is small if a delegate runs the whole program.

    Args:
        artifact: A checked artifact.
        program: Name of the program.

    Raises:
        ArtifactError: If the program's file cannot be read.
    """
    if artifact.manifest.backend != _BACKEND:
        return None
    path = artifact.path(artifact.program(program).file)
    try:
        data = path.read_bytes()
        plans = {plan.text(_NAME): plan for plan in _Table.root(data).tables(_PLANS)}
        # The only program of a file can have the name that the compiler gives by default.
        plan = plans[program] if program in plans else plans["forward"]
        # The first size is reserved for constants.
        return sum(plan.longs(_SIZES)[1:])
    except (OSError, struct.error, KeyError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path} is not an ExecuTorch program with a method {program}; compile it again"
        ) from error


@dataclass(frozen=True)
class _Table:
    """A table of a flatbuffer; reading outside the data raises struct.error."""

    data: bytes
    start: int

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, _number("<I", data, 0))

    def tables(self, field: int) -> Iterator[_Table]:
        """Yield the tables of a field that is a vector of tables."""
        place, length = self._vector(field)
        for index in range(length):
            entry = place + 4 * index
            yield _Table(self.data, entry + _number("<I", self.data, entry))

    def longs(self, field: int) -> tuple[int, ...]:
        """Return the numbers of a field that is a vector of 64-bit integers."""
        place, length = self._vector(field)
        return struct.unpack_from(f"<{length}q", self.data, place)

    def text(self, field: int) -> str:
        """Return the text of a field that is a string."""
        place, length = self._vector(field)
        return self.data[place : place + length].decode()

    def _vector(self, field: int) -> tuple[int, int]:
        """Return the place and the length of a vector; an absent one is empty."""
        layout = self.start - _number("<i", self.data, self.start)
        offset = 0
        if 4 + 2 * field < _number("<H", self.data, layout):
            offset = _number("<H", self.data, layout + 4 + 2 * field)
        if not offset:
            return self.start, 0
        entry = self.start + offset
        vector = entry + _number("<I", self.data, entry)
        return vector + 4, _number("<I", self.data, vector)


def _number(form: str, data: bytes, place: int) -> int:
    if place < 0:
        raise struct.error("a place before the start of the data")
    number: int = struct.unpack_from(form, data, place)[0]
    return number
