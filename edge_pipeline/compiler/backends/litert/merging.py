"""Merging of `.tflite` files into one file with a signature for each of them.

Operators, tensors and signatures stay as they are; only their references to buffers and operator
codes change. Buffers with equal contents are stored once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SMALLEST_SHARED", "merged"]

# Bytes. The markers of short weights (`analysis.exchange`) may be equal by chance, and must not be
# merged; sharing such buffers would save nothing.
SMALLEST_SHARED = 64

_RUNTIME_VERSION = b"min_runtime_version"


def merged(parts: Mapping[str, bytes]) -> bytes:
    """Return a file with one subgraph and one signature for each given file.

    Args:
        parts: Contents of files with one subgraph and one signature each, by the name that the
            signature gets.

    Raises:
        ValueError: If a file has several subgraphs or signatures.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    models = {
        name: flatbuffer_utils.read_model_from_bytearray(bytearray(data))
        for name, data in parts.items()
    }
    whole, *others = models.values()
    merging = _Merging(whole)
    for name, model in models.items():
        if len(model.subgraphs) != 1 or len(model.signatureDefs or ()) != 1:
            raise ValueError(f"{name} has several subgraphs or signatures")
        model.signatureDefs[0].signatureKey = name.encode()
        model.subgraphs[0].name = name.encode()
    for model in others:
        merging.add(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(whole))


class _Merging:
    """A model to which the subgraphs of other models are added."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole
        self._codes: dict[tuple[Any, ...], int] = {}
        for index, code in enumerate(whole.operatorCodes):
            self._codes.setdefault(_code(code), index)
        # Buffers of metadata are not those of tensors.
        used = {int(tensor.buffer) for graph in whole.subgraphs for tensor in graph.tensors}
        self._buffers: dict[bytes, int] = {}
        for index in sorted(used):
            content = _content(whole.buffers[index])
            if len(content) >= SMALLEST_SHARED:
                self._buffers.setdefault(content, index)
        for graph in whole.subgraphs:
            self._share(graph, whole.buffers)

    def add(self, model: Any) -> None:
        """Add the subgraph and the signature of another model."""
        whole, (graph,), (signature,) = self._whole, model.subgraphs, model.signatureDefs
        for operator in graph.operators:
            operator.opcodeIndex = self._code(model.operatorCodes[operator.opcodeIndex])
        self._share(graph, model.buffers, foreign=True)
        signature.subgraphIndex = len(whole.subgraphs)
        whole.subgraphs.append(graph)
        whole.signatureDefs.append(signature)
        self._raise_version(model)

    def _code(self, code: Any) -> int:
        """Return the index of an equal operator code, which is added if there is none."""
        key = _code(code)
        if key not in self._codes:
            self._codes[key] = len(self._whole.operatorCodes)
            self._whole.operatorCodes.append(code)
        return self._codes[key]

    def _share(self, graph: Any, buffers: Any, *, foreign: bool = False) -> None:
        """Let the tensors of a subgraph refer to buffers of this model."""
        moved = {0: 0}  # the empty buffer, by the format's definition
        for tensor in graph.tensors:
            index = int(tensor.buffer)
            if index not in moved:
                content = _content(buffers[index])
                target = self._buffers.get(content) if content else None
                if target is None:
                    target = self._added(buffers[index], content) if foreign else index
                moved[index] = target
            tensor.buffer = moved[index]

    def _added(self, buffer: Any, content: bytes) -> int:
        index = len(self._whole.buffers)
        self._whole.buffers.append(buffer)
        if len(content) >= SMALLEST_SHARED:
            self._buffers[content] = index
        return index

    def _raise_version(self, model: Any) -> None:
        """Store the highest version of the runtime that a part requires."""
        own, other = _required(self._whole), _required(model)
        if own is not None and other is not None and _number(other) > _number(own):
            own.data = other.data


def _required(model: Any) -> Any | None:
    """Return the buffer with the version of the runtime that a model requires."""
    for one in model.metadata or ():
        if bytes(one.name) == _RUNTIME_VERSION:
            return model.buffers[one.buffer]
    return None


def _number(buffer: Any) -> tuple[int, ...]:
    text = _content(buffer).rstrip(b"\0").decode("ascii")
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _content(buffer: Any) -> bytes:
    return b"" if buffer.data is None else bytes(buffer.data)


def _code(code: Any) -> tuple[Any, ...]:
    return (code.deprecatedBuiltinCode, code.builtinCode, code.customCode, code.version)
