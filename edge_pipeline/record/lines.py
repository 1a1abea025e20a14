"""Files of records: JSON lines, one record each, appended atomically."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from edge_pipeline.errors import InputError, OutputError, first_fault
from edge_pipeline.record.measurement import SCHEMA_VERSION, Record

__all__ = ["append_records", "read_records", "records_text"]


def records_text(records: Iterable[Record]) -> str:
    """Return records as JSON lines."""
    return "".join(record.model_dump_json() + "\n" for record in records)


def append_records(path: Path, records: Sequence[Record]) -> None:
    """Append records to a file, which is created if it does not exist.

    Either all of the records are in the file afterwards, or none: the end of a line that an
    interrupted process did not finish is removed first. Several processes may append to one file.

    Raises:
        OutputError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "x+b", buffering=0) as file:
            _lock(file.fileno())
            end = _whole_lines(path.read_bytes())
            file.truncate(end)
            file.seek(end)
            try:
                _write(file.fileno(), records_text(records).encode())
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def read_records(path: Path) -> list[Record]:
    """Read a file that `append_records` wrote; an unfinished last line is ignored.

    Raises:
        InputError: If the file cannot be read, or a line is not a record.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    records = []
    finished = content[: _whole_lines(content)] if b"\n" in content else content
    for number, line in enumerate(finished.splitlines(), 1):
        if line.strip():
            records.append(_record(path, number, line))
    return records


def _record(path: Path, number: int, line: bytes) -> Record:
    try:
        return Record.model_validate_json(line)
    except ValidationError as error:
        where, reason = first_fault(error, "the top")
        if where == "schema_version":
            reason = f"this version of the software reads version {SCHEMA_VERSION}; measure again"
        raise InputError(
            f"{path}, line {number}, is not a record of a measurement: at {where}, {reason}"
        ) from error


def _whole_lines(content: bytes) -> int:
    """Return the number of bytes up to the end of the last finished line."""
    return content.rfind(b"\n") + 1


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _lock(descriptor: int) -> None:
    """Lock a file for this process until it is closed, on systems that have such locks."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
