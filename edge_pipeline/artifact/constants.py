"""Exchangeable weights in an artifact's files: finding where they lie, and writing others there.

A program is written with marks (random numbers that occur nowhere else) in the place of such
weights. Wherever a mark's bytes turn up, in whatever order of axes, its weight lies; `patch` then
writes the real one there, at compile time as much as later. A converter may have taken a factor of
the network's into the weight; a power of two is found, since with it no digit changes. A mark of a
few bytes also turns up by chance; where a second file has another mark, the weight lies.
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
    "is_known_form",
    "locate",
    "overlapping",
    "patch",
]

Arrays = Mapping[str, NDArray[np.float32]]

_CODES = {"float32": "<f4", "float16": "<f2"}

# A mark shorter than this could turn up by chance: a file of a megabyte holds any two bytes.
_SHORTEST = 4


class _Form(NamedTuple):
    """How a weight is written: see `Constant`."""

    dtype: Literal["float32", "float16"]
    rounded: bool
    scale: float

    def encode(self, value: NDArray[np.float32]) -> NDArray[np.floating]:
        """The numbers as they are written."""
        scaled = value * np.float32(self.scale)
        if self.rounded:
            scaled = scaled.astype(np.float16).astype(np.float32)
        return scaled.astype(_CODES[self.dtype])


_PLAIN = (_Form("float32", False, 1.0), _Form("float16", False, 1.0), _Form("float32", True, 1.0))  # noqa: FBT003
_SCALED = tuple(
    form._replace(scale=2.0**power) for power in range(-8, 9) if power for form in _PLAIN
)


@dataclass(frozen=True)
class Located:
    """What `locate` found.

    Attributes:
        constants: where each weight lies, ordered as the weights are; a weight that lies in several
            files, or in several orders of axes, has an entry for each. Empty if one was not found.
        problem: which weight was not found, and why, in words; None if all were.
    """

    constants: tuple[Constant, ...]
    problem: str | None = None


class Twin(NamedTuple):
    """The same program written with other marks, for marks that are too short to be found alone.

    Attributes:
        files: content by name; of the same sizes.
        marks: by the weight's name; those that are long enough are the same.
    """

    files: Mapping[str, bytes]
    marks: Arrays


def locate(
    files: Mapping[str, bytes],
    marks: Arrays,
    *,
    required: Sequence[str] = (),
    twin: Twin | None = None,
) -> Located:
    """Where marks lie in files, in any order of their axes, in any form that `Constant` has.

    Args:
        files: content by name in the artifact.
        marks: by the weight's name, float32.
        required: files that must hold every mark, whatever else does; such as the network's graph,
            which would otherwise go on computing with the old weights.
        twin: where it is given, a place counts only if the twin has its own mark there.
    """
    found: list[Constant] = []
    for name, mark in marks.items():
        places: list[Constant] = []
        for forms in (_PLAIN, _SCALED):
            for file, data in files.items():
                places += _in_file(name, mark, file, data, forms, twin)
            holding = {constant.file for constant in places}
            if holding - set(required):
                break
        missing = [file for file in required if file not in holding]
        if not holding - set(required) or missing:
            where = missing[0] if missing else "the program's files"
            return Located((), f"{name} is not in {where} as it stands in the network")
        found += places
    overlap = overlapping(found)
    if overlap is not None:
        return Located((), f"{overlap[0]} and {overlap[1]} were found at the same place")
    return Located(tuple(found))


def _in_file(
    name: str,
    mark: NDArray[np.float32],
    file: str,
    data: bytes,
    forms: Sequence[_Form],
    twin: Twin | None,
) -> Iterator[Constant]:
    tried: set[bytes] = set()
    for form in forms:
        value = form.encode(mark)
        # Rounding changes nothing in numbers that half precision has; they are found already.
        too_short = twin is None and value.nbytes < _SHORTEST
        if too_short or value.tobytes() in tried:
            continue
        tried.add(value.tobytes())
        by_axes: dict[tuple[int, ...], list[int]] = {}
        needles: dict[tuple[int, ...], bytes] = {}
        # In every order the first element is the same, so one search finds all candidates.
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
                shape=mark.shape,
                axes=axes,
                **form._asdict(),
                file=file,
                offsets=tuple(offsets),
            )
            yield from [constant] if twin is None else _confirmed(constant, twin)


def _confirmed(constant: Constant, twin: Twin) -> Iterator[Constant]:
    """The constant with those of its places at which the twin has its own mark, if any."""
    content = content_of(constant, twin.marks[constant.name])
    data = twin.files.get(constant.file, b"")
    offsets = tuple(offset for offset in constant.offsets if data.startswith(content, offset))
    if offsets:
        yield constant.model_copy(update={"offsets": offsets})


def content_of(constant: Constant, value: NDArray[np.float32]) -> bytes:
    """A weight's bytes as they are written at each of the constant's offsets."""
    return _form_of(constant).encode(value).transpose(constant.axes).tobytes()


def is_known_form(constant: Constant) -> bool:
    """Whether `locate` finds weights that are written so."""
    return _form_of(constant) in (*_PLAIN, *_SCALED)


def _form_of(constant: Constant) -> _Form:
    return _Form(constant.dtype, constant.rounded, constant.scale)


def _occurrences(data: bytes, needle: bytes) -> Iterator[int]:
    offset = data.find(needle)
    while offset >= 0:
        yield offset
        offset = data.find(needle, offset + 1)


def _orders(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Orders of axes that differ in memory: where axes of size 1 stand makes no difference."""
    ones = tuple(axis for axis, size in enumerate(shape) if size == 1)
    rest = [axis for axis, size in enumerate(shape) if size > 1]
    for order in itertools.permutations(rest):
        yield ones + order


def overlapping(found: Sequence[Constant]) -> tuple[str, str] | None:
    """Two weights that would be written over each other; None if there are none."""
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
    """Refuse weights that cannot stand where the old ones do.

    Args:
        constants: as the manifest lists them.
        values: by name.

    Raises:
        InputError: a weight is missing, one too many, of another shape, not finite, or too large
            for half precision.
    """
    shapes = {constant.name: constant.shape for constant in constants}
    halves = {c.name for c in constants if c.dtype == "float16" or c.rounded}
    for name in shapes:
        if name not in values:
            raise InputError(f"there is no {name} among the weights; all {len(shapes)} are wanted")
    for name, value in values.items():
        if name not in shapes:
            raise InputError(f"{name} is no weight of the artifact; it has {', '.join(shapes)}")
        if value.shape != shapes[name] or value.dtype != np.float32:
            raise InputError(
                f"{name} is {value.dtype} {_text(value.shape)}, and float32 {_text(shapes[name])} "
                "is wanted"
            )
        if not np.isfinite(value).all():
            raise InputError(f"{name} holds a value that is not finite")
        if name in halves and np.abs(value).max() > np.finfo(np.float16).max:
            raise InputError(
                f"{name} holds {np.abs(value).max():.3g}, and half precision ends at 65504; "
                "compile for fp32"
            )


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def patch(
    files: Mapping[str, bytes], constants: Sequence[Constant], values: Arrays
) -> dict[str, bytes]:
    """The files that hold weights, with others written in.

    Args:
        files: content by name; at least those that `constants` name.
        constants: where weights lie.
        values: float32, by name; see `check_values`.

    Returns:
        Only the files in which anything was written.

    Raises:
        ArtifactError: a file is shorter than where a weight should lie.
    """
    buffers: dict[str, bytearray] = {}
    for constant in constants:
        buffer = buffers.setdefault(constant.file, bytearray(files[constant.file]))
        content = content_of(constant, values[constant.name])
        for offset in constant.offsets:
            if offset + len(content) > len(buffer):
                raise ArtifactError(
                    f"{constant.file} has {len(buffer)} bytes, and {constant.name} should lie at "
                    f"{offset}; compile the artifact again"
                )
            buffer[offset : offset + len(content)] = content
    return {name: bytes(buffer) for name, buffer in buffers.items()}
