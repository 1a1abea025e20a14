"""Search for exchangeable weights in an artifact's files, and their replacement.

The compiler first writes a program with markers (random numbers that occur nowhere else) in place
of these weights. Each place where a marker's bytes occur, in any order of its axes, is a place of
its weight. `patch` writes the real weight there, both during compilation and later. A converter may
multiply a weight by a constant; only powers of two are found, because they keep every digit. The
bytes of a very short marker may also occur by chance; such a place counts only if a second version
of the file, written with another marker, has that other marker at the same place.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import Constant
from edge_pipeline.errors import ArtifactError, InputError

__all__ = [
    "Located",
    "Twin",
    "check_values",
    "content_of",
    "is_known_encoding",
    "locate",
    "overlapping",
    "patch",
]

Arrays = Mapping[str, NDArray[np.float32]]

_CODES = {"float32": "<f4", "float16": "<f2"}

# Bytes. A shorter marker could occur by chance: any two bytes occur in a file of a megabyte.
_SHORTEST = 4


class _Encoding(NamedTuple):
    """Encoding of a weight in a file; see `Constant`."""

    dtype: Literal["float32", "float16"]
    rounded: bool
    scale: float

    def encode(self, value: NDArray[np.float32]) -> NDArray[np.floating]:
        """Return the numbers in the encoding that is stored in the file."""
        scaled = value * np.float32(self.scale)
        if self.rounded:
            scaled = scaled.astype(np.float16).astype(np.float32)
        return scaled.astype(_CODES[self.dtype])


_PLAIN = (
    _Encoding("float32", rounded=False, scale=1.0),
    _Encoding("float16", rounded=False, scale=1.0),
    _Encoding("float32", rounded=True, scale=1.0),
)
_SCALED = tuple(
    encoding._replace(scale=2.0**power) for power in range(-8, 9) if power for encoding in _PLAIN
)


@dataclass(frozen=True)
class Located:
    """Result of `locate`.

    Attributes:
        constants: Places of the weights, in the order of the weights. A weight that is stored in
            several files, or in several orders of axes, has one entry for each. Empty if any
            weight was not found.
        problem: Message about the weight that was not found, or None if all were found.
    """

    constants: tuple[Constant, ...]
    problem: str | None = None


class Twin(NamedTuple):
    """The same program written with other markers, which confirms the places of short markers.

    Attributes:
        files: File contents by name, with the same sizes as the original files.
        markers: Marks by the weight's name; markers that are long enough are unchanged.
    """

    files: Mapping[str, bytes]
    markers: Arrays


def locate(
    files: Mapping[str, bytes],
    markers: Arrays,
    *,
    required: Sequence[str] = (),
    twin: Twin | None = None,
) -> Located:
    """Search files for markers, in any order of their axes and any encoding of `Constant`.

    Args:
        files: File contents by their names in the artifact.
        markers: Marks by the weight's name, float32.
        required: Files that must contain every marker, in addition to at least one other file. The
            network's graph is one, because it would otherwise keep computing with the old weights.
        twin: If given, a place counts only if the twin has its own marker at the same place.

    Returns:
        The places of all weights, or the reason why a weight was not found.
    """
    found: list[Constant] = []
    for name, marker in markers.items():
        places: list[Constant] = []
        for encodings in (_PLAIN, _SCALED):
            for file, data in files.items():
                places += _in_file(name, marker, file, data, encodings, twin)
            holding = {constant.file for constant in places}
            if holding - set(required):
                break
        missing = [file for file in required if file not in holding]
        if not holding - set(required) or missing:
            where = missing[0] if missing else "the program's files"
            return Located((), f"{name} was not found unchanged in {where}")
        found += places
    overlap = overlapping(found)
    if overlap is not None:
        return Located((), f"{overlap[0]} and {overlap[1]} were found at the same place")
    return Located(tuple(found))


def _in_file(
    name: str,
    marker: NDArray[np.float32],
    file: str,
    data: bytes,
    encodings: Sequence[_Encoding],
    twin: Twin | None,
) -> Iterator[Constant]:
    tried: set[bytes] = set()
    for encoding in encodings:
        value = encoding.encode(marker)
        # Rounding does not change numbers that half precision can hold: these were tried already.
        too_short = twin is None and value.nbytes < _SHORTEST
        if too_short or value.tobytes() in tried:
            continue
        tried.add(value.tobytes())
        by_axes: dict[tuple[int, ...], list[int]] = {}
        needles: dict[tuple[int, ...], bytes] = {}
        # The first element is the same in every order, so one search finds all candidates.
        for offset in _occurrences(data, value.flat[0].tobytes()):
            needles = needles or {
                axes: value.transpose(axes).tobytes() for axes in _orders(value.shape)
            }
            for axes, needle in needles.items():
                if data.startswith(needle, offset):
                    by_axes.setdefault(axes, []).append(offset)
        for axes, offsets in by_axes.items():
            constant = Constant(
                name=name,
                shape=marker.shape,
                axes=axes,
                **encoding._asdict(),
                file=file,
                offsets=tuple(offsets),
            )
            yield from [constant] if twin is None else _confirmed(constant, twin)


def _confirmed(constant: Constant, twin: Twin) -> Iterator[Constant]:
    """Yield the constant with only the places at which the twin has its own marker, if any."""
    content = content_of(constant, twin.markers[constant.name])
    data = twin.files.get(constant.file, b"")
    offsets = tuple(offset for offset in constant.offsets if data.startswith(content, offset))
    if offsets:
        yield constant.model_copy(update={"offsets": offsets})


def content_of(constant: Constant, value: NDArray[np.float32]) -> bytes:
    """Return a weight's bytes in the encoding that is stored at each of the constant's offsets."""
    return _encoding_of(constant).encode(value).transpose(constant.axes).tobytes()


def is_known_encoding(constant: Constant) -> bool:
    """Return whether `locate` searches for this encoding."""
    return _encoding_of(constant) in (*_PLAIN, *_SCALED)


def _encoding_of(constant: Constant) -> _Encoding:
    return _Encoding(constant.dtype, constant.rounded, constant.scale)


def _occurrences(data: bytes, needle: bytes) -> Iterator[int]:
    offset = data.find(needle)
    while offset >= 0:
        yield offset
        offset = data.find(needle, offset + 1)


def _orders(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield orders of axes that differ in memory: axes of size 1 can be at any position."""
    ones = tuple(axis for axis, size in enumerate(shape) if size == 1)
    rest = [axis for axis, size in enumerate(shape) if size > 1]
    for order in itertools.permutations(rest):
        yield ones + order


def overlapping(found: Sequence[Constant]) -> tuple[str, str] | None:
    """Return the names of two weights whose places overlap, or None if there are none."""
    spans = sorted(
        (constant.file, offset, offset + _size(constant), constant.name)
        for constant in found
        for offset in constant.offsets
    )
    for (file, _, end, name), (other_file, start, _, other) in itertools.pairwise(spans):
        if file == other_file and start < end:
            return name, other
    return None


def _size(constant: Constant) -> int:
    return int(np.prod(constant.shape)) * np.dtype(constant.dtype).itemsize


def check_values(constants: Sequence[Constant], values: Arrays) -> None:
    """Check that new weights can replace the old ones.

    Args:
        constants: Places of the weights, as listed in the manifest.
        values: New weights by name.

    Raises:
        InputError: If a weight is missing or unknown, has another shape or type, is not finite,
            or is too large for half precision.
    """
    shapes = {constant.name: constant.shape for constant in constants}
    halves = {c.name for c in constants if c.dtype == "float16" or c.rounded}
    for name in shapes:
        if name not in values:
            raise InputError(f"the weight {name} is missing; expected all {len(shapes)} weights")
    for name, value in values.items():
        if name not in shapes:
            raise InputError(f"{name} is not a weight of the artifact; it has {', '.join(shapes)}")
        if value.shape != shapes[name] or value.dtype != np.float32:
            raise InputError(
                f"{name}: expected float32 {_text(shapes[name])}, "
                f"got {value.dtype} {_text(value.shape)}"
            )
        if not np.isfinite(value).all():
            raise InputError(f"{name} contains a value that is not finite")
        if name in halves and np.abs(value).max() > np.finfo(np.float16).max:
            raise InputError(
                f"{name} contains {np.abs(value).max():.3g}; the limit of half precision is 65504; "
                "compile for fp32"
            )


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def patch(
    files: Mapping[str, bytes], constants: Sequence[Constant], values: Arrays
) -> dict[str, bytes]:
    """Return the files that contain weights, with the weights replaced.

    Args:
        files: File contents by name; at least the files that `constants` name.
        constants: Places of the weights.
        values: New weights by name, float32; see `check_values`.

    Returns:
        Contents of the changed files by name.

    Raises:
        ArtifactError: If the place of a weight lies beyond the end of its file.
    """
    buffers: dict[str, bytearray] = {}
    for constant in constants:
        buffer = buffers.setdefault(constant.file, bytearray(files[constant.file]))
        content = content_of(constant, values[constant.name])
        for offset in constant.offsets:
            if offset + len(content) > len(buffer):
                raise ArtifactError(
                    f"{constant.file} has {len(buffer)} bytes, too few for {constant.name} at byte "
                    f"{offset}; compile the artifact again"
                )
            buffer[offset : offset + len(content)] = content
    return {name: bytes(buffer) for name, buffer in buffers.items()}
