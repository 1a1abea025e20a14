"""Separate storage of the output size of each Resize, so that it can be changed in the file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_pipeline.compiler.backends.base import StoredSize
from edge_pipeline.errors import CompileError
from edge_pipeline.optional import require as require_module

__all__ = ["locate_sizes", "separate_sizes"]

# Index of the output size among the inputs of a Resize.
_SIZES = 3


def separate_sizes(model: Any) -> dict[str, tuple[int, ...]]:
    """Give each Resize with an output size an initializer of its own, with raw data.

    The shapes of inner values are removed, because they depend on these sizes.

    Args:
        model: ModelProto; it is changed.

    Returns:
        The output sizes by the initializer's name.
    """
    onnx: Any = require_module("onnx", "onnx", "compiling to ONNX")
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    found: dict[str, tuple[int, ...]] = {}
    for number, node in enumerate(n for n in model.graph.node if n.op_type == "Resize"):
        if len(node.input) <= _SIZES or node.input[_SIZES] not in held:
            continue
        sizes = onnx.numpy_helper.to_array(held[node.input[_SIZES]]).astype(np.int64)
        name = f"resize_{number}_sizes"
        while name in held:
            name += "_"
        node.input[_SIZES] = name
        model.graph.initializer.append(onnx.numpy_helper.from_array(sizes, name))
        found[name] = tuple(map(int, sizes))
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    copies = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
    del model.graph.initializer[:]
    model.graph.initializer.extend(copies)
    del model.graph.value_info[:]
    return found


def locate_sizes(
    model: Any, sizes: Mapping[str, tuple[int, ...]]
) -> tuple[bytes, tuple[StoredSize, ...]]:
    """Return the model's file, and the places of the sizes in it.

    The file is first written with markers, which occur nowhere else, in place of the sizes.

    Args:
        model: ModelProto; it is changed.
        sizes: Result of `separate_sizes`.
    """
    markers: dict[str, bytes] = {}
    for tensor in model.graph.initializer:
        if tensor.name in sizes:
            seed = hashlib.shake_128(tensor.name.encode())
            markers[tensor.name] = tensor.raw_data = seed.digest(8 * len(sizes[tensor.name]))
    content = model.SerializeToString(deterministic=True)
    places: list[StoredSize] = []
    for name, marker in markers.items():
        if content.count(marker) != 1:
            raise CompileError(f"the output size {name} was not found in the program's file")
        offset, own = content.index(marker), sizes[name]
        content = content.replace(marker, np.array(own, "<i8").tobytes())
        places += [
            StoredSize(offset + 8 * i, i - len(own), size)
            for i, size in enumerate(own)
            if i >= 2  # after samples and channels
        ]
    return content, tuple(places)
