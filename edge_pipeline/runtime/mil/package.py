"""Reader of an `.mlpackage` that contains an ML Program: its MIL operators and weights file.

It does not use coremltools, so that it can check the output of coremltools.

Source: the message definitions `mlmodel/format/Model.proto` and `MIL.proto` and the layout of the
weights file `mlmodel/src/MILBlob/Blob/StorageFormat.hpp`, https://github.com/apple/coremltools.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.runtime.mil.wire import Message

__all__ = ["Operation", "Program", "TensorType", "feature_name", "read_package"]

# MIL.proto's DataType, without the types that this project's programs do not contain.
_TYPES = {
    1: "bool",
    2: "string",
    10: "float16",
    11: "float32",
    12: "float64",
    21: "int8",
    22: "int16",
    23: "int32",
    24: "int64",
    31: "uint8",
    32: "uint16",
    33: "uint32",
    34: "uint64",
}
# Type numbers of the entries in the weights file.
_BLOB_TYPES = {1: "float16", 2: "float32", 3: "uint8", 4: "int8", 6: "int16", 7: "uint16"}
_BLOB_TYPES |= {14: "int32", 15: "uint32"}
_SENTINEL = 0xDEADBEEF
_ENTRY = struct.Struct("<IIQQ")
_ALIGNMENT = 64
_WEIGHTS = "@model_path/weights/"


@dataclass(frozen=True)
class TensorType:
    """Declared type (by its NumPy name) and shape of a value."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """One operator of the program.

    Attributes:
        kind: Name of the operator, such as `conv` or `reshape`; `const` for a constant.
        inputs: Arguments by parameter; each is a list of names of values, or of constants.
        outputs: Names and types of its results.
        attributes: For a constant, its name and its value `val`.
    """

    kind: str
    inputs: Mapping[str, tuple[Any, ...]]
    outputs: tuple[tuple[str, TensorType], ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Program:
    """The main function of an ML Program.

    Attributes:
        opset: Name of the operator set, such as `CoreML7`.
        inputs: Types of the inputs, by name.
        outputs: Names of the outputs.
        operations: Operators in order; each uses only earlier results.
    """

    opset: str
    inputs: Mapping[str, TensorType]
    outputs: tuple[str, ...]
    operations: tuple[Operation, ...]


def feature_name(name: str) -> str:
    """Return a tensor's name in Core ML, which allows only letters, digits and `_`."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
    return f"_{plain}" if plain[:1].isdigit() else plain


def read_package(folder: Path) -> Program:
    """Return the program of a package, with its weights.

    Args:
        folder: Folder of the `.mlpackage`.

    Raises:
        RuntimeFailure: If it is not a package with an ML Program, or is damaged.
    """
    try:
        model = folder / "Data" / _root(folder)
        weights = model.parent / "weights"
        blobs = {path.name: path.read_bytes() for path in sorted(weights.glob("*.bin"))}
        return _program(Message(model.read_bytes()), blobs)
    except OSError as error:
        raise RuntimeFailure(f"{folder} is not a Core ML package: {error.strerror}") from error
    except (ValueError, KeyError, UnicodeDecodeError, struct.error, RecursionError) as error:
        raise RuntimeFailure(f"{folder} is not a readable ML Program: {error}") from error


def _root(folder: Path) -> str:
    manifest = json.loads((folder / "Manifest.json").read_text())
    try:
        path = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (KeyError, TypeError):
        raise ValueError("its Manifest.json names no root model") from None
    if not isinstance(path, str) or ".." in Path(path).parts or Path(path).is_absolute():
        raise ValueError(f"its Manifest.json names an invalid root model {path!r}")
    return path


def _program(model: Message, blobs: Mapping[str, bytes]) -> Program:
    if 502 not in model:
        raise ValueError("the model is not an ML Program")
    functions = model.message(502).entries(2)
    if "main" not in functions:
        raise ValueError("the program has no function main")
    function = functions["main"]
    opset = function.text(2)
    blocks = function.entries(3)
    if opset not in blocks:
        raise ValueError(f"the function main has no block for {opset!r}")
    block = blocks[opset]
    return Program(
        opset=opset,
        inputs=dict(_named_type(entry) for entry in function.messages(1)),
        outputs=tuple(block.texts(2)),
        operations=tuple(_operation(entry, blobs) for entry in block.messages(3)),
    )


def _operation(message: Message, blobs: Mapping[str, bytes]) -> Operation:
    kind = message.text(1)
    if 4 in message:
        raise ValueError(f"the operator {kind} contains blocks, which are not supported")
    return Operation(
        kind=kind,
        inputs={
            name: tuple(
                binding.text(1) if 1 in binding else _value(binding.message(2), blobs)
                for binding in argument.messages(1)
            )
            for name, argument in message.entries(2).items()
        },
        outputs=tuple(_named_type(entry) for entry in message.messages(3)),
        attributes={name: _value(value, blobs) for name, value in message.entries(5).items()},
    )


def _named_type(message: Message) -> tuple[str, TensorType]:
    return message.text(1), _tensor_type(message.message(2))


def _tensor_type(message: Message) -> TensorType:
    if 1 not in message:
        raise ValueError("a value is not a tensor")
    tensor = message.message(1)
    code = tensor.number(1)
    if code not in _TYPES:
        raise ValueError(f"a tensor has the unknown type {code}")
    shape = []
    for dimension in tensor.messages(3):
        if 1 not in dimension:
            raise ValueError("a tensor has an unknown size")
        shape.append(dimension.message(1).number(1))
    return TensorType(_TYPES[code], tuple(shape))


def _value(message: Message, blobs: Mapping[str, bytes]) -> Any:
    """Return a constant: text, or an array of its declared type and shape."""
    kind = _tensor_type(message.message(2))
    if 5 in message:
        place = message.message(5)
        flat = _blob(place.text(1), place.number(2), kind, blobs)
    else:
        tensor = message.message(3).message(1)
        if kind.dtype == "string":
            texts = tensor.message(4).texts(1)
            return texts[0] if not kind.shape and texts else texts
        flat = _immediate(tensor, kind.dtype)
    count = int(np.prod(kind.shape, dtype=np.int64))
    if flat.size == 1 and count > 1:
        return np.full(kind.shape, flat[0])  # one number for all elements
    if flat.size != count:
        raise ValueError(f"a constant has {flat.size} numbers; expected {count}")
    return flat.reshape(kind.shape)


def _immediate(tensor: Message, dtype: str) -> NDArray[Any]:
    """Return the numbers of a `TensorValue`, which has one field for each encoding."""
    if 1 in tensor:
        return np.frombuffer(tensor.message(1).packed(1), "<f4").astype(dtype)
    if 6 in tensor:
        return np.frombuffer(tensor.message(6).packed(1), "<f8").astype(dtype)
    if 7 in tensor:
        return np.frombuffer(tensor.message(7).packed(1), np.dtype(dtype).newbyteorder("<"))
    for field in (2, 3, 5):  # int32, bool, int64
        if field in tensor:
            return np.array(tensor.message(field).numbers(1)).astype(dtype)
    return np.zeros(0, dtype)


def _blob(name: str, at: int, kind: TensorType, blobs: Mapping[str, bytes]) -> NDArray[Any]:
    """Return the numbers of a weights file's entry; its header has 64 bytes: type, size, start."""
    file = name.removeprefix(_WEIGHTS)
    if file not in blobs:
        raise ValueError(f"the file {name!r} is missing")
    data = blobs[file]
    if at + _ALIGNMENT > len(data):
        raise ValueError(f"{file} ends before the entry at byte {at}")
    sentinel, code, size, start = _ENTRY.unpack_from(data, at)
    if sentinel != _SENTINEL or _BLOB_TYPES.get(code) != kind.dtype:
        raise ValueError(f"{file} has no weights of type {kind.dtype} at byte {at}")
    count = int(np.prod(kind.shape, dtype=np.int64))
    if size != count * np.dtype(kind.dtype).itemsize or start + size > len(data):
        raise ValueError(f"{file}: expected {count} x {kind.dtype} at byte {at}, got {size} bytes")
    if start % _ALIGNMENT:
        raise ValueError(
            f"{file}: the weights of the entry at {at} begin at {start}, not a multiple of "
            f"{_ALIGNMENT}"
        )
    dtype = np.dtype(kind.dtype).newbyteorder("<")
    return np.frombuffer(data, dtype, count, start).astype(kind.dtype)
