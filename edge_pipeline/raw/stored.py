"""Arrays in temporary files, of which the system reads and drops pages as memory permits.

The files have no names, so nothing remains of them when the process ends, for whatever reason.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge_pipeline.errors import JobError

__all__ = ["like", "load", "release", "row_bands"]

_BAND_VALUES = 1 << 22


class _Mapping(mmap.mmap):
    """A shared mapping that is never written to, so that its pages can be dropped at any time."""


def _mapped(
    file: IO[bytes], shape: tuple[int, ...], dtype: DTypeLike, offset: int = 0
) -> NDArray[Any]:
    data = _Mapping(file.fileno(), 0, access=mmap.ACCESS_READ)
    count = int(np.prod(shape))
    return np.frombuffer(data, dtype, count=count, offset=offset).reshape(shape)


def load(path: Path) -> NDArray[Any]:
    """Return the array of a file that `np.save` wrote, read-only; the file may be removed then."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return _mapped(file, shape, dtype, file.tell())


def like(source: NDArray[Any], bands: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Return an array of the shape and type of `source` with other values, kept as `source` is.

    Args:
        source: Array; if it is the result of `load` or `like`, or a part, a file has the result.
        bands: The rows of the result, in order.

    Raises:
        JobError: If the temporary file cannot be written.
    """
    if _mapping(source) is None:
        return np.concatenate([*bands])
    try:
        with tempfile.TemporaryFile(prefix="edge-pipeline-", buffering=0) as file:
            for band in bands:
                rest = np.ascontiguousarray(band, source.dtype).data.cast("B")
                while rest:
                    rest = rest[file.write(rest) :]
                release(source)
            return _mapped(file, source.shape, source.dtype)
    except OSError as error:
        raise JobError(
            f"the folder for temporary files, {tempfile.gettempdir()}, cannot hold the capture: "
            f"{error.strerror or error}; make room there, or set TMPDIR to another folder"
        ) from error


def release(array: NDArray[Any]) -> None:
    """Let the system drop the pages of an array from `load` or `like`; they are read again on use.

    Otherwise, all pages that were ever read count as memory of this process. Without effect on
    other arrays.
    """
    mapping = _mapping(array)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def row_bands(array: NDArray[Any]) -> Iterator[slice]:
    """Yield slices of an even number of rows that cover an array, and release it after each."""
    rows = max(2, _BAND_VALUES // array.shape[1] // 2 * 2)
    for top in range(0, array.shape[0], rows):
        yield slice(top, min(top + rows, array.shape[0]))
        release(array)


def _mapping(array: NDArray[Any]) -> _Mapping | None:
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return base if isinstance(base, _Mapping) else None
