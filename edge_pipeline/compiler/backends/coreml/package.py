"""Files of an `.mlpackage` whose bytes depend only on the network."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_pipeline.compiler.backends.coreml.convert import quiet

__all__ = ["computed_weights", "operators_of", "package_files", "saved"]

_MODEL = "com.apple.CoreML/model.mlmodel"
_WEIGHTS = "com.apple.CoreML/weights"
_DATE = "com.github.apple.coremltools.conversion_date"


def saved(model: Any, folder: Path) -> Path:
    """Save coremltools' model below `folder`, and return the package's path."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "program.mlpackage"
    with quiet():
        model.save(str(path))
    return path


def package_files(package: Path) -> dict[str, bytes]:
    """Return a package's files by relative path, without parts that differ between conversions.

    coremltools writes the date into the model and random identifiers into the package's list. It
    also adds a map for ExecuTorch's debugger, which Core ML does not read.

    Args:
        package: Path returned by `saved`.
    """
    from coremltools.proto import Model_pb2

    model = Model_pb2.Model.FromString((package / "Data" / _MODEL).read_bytes())
    model.description.metadata.userDefined.pop(_DATE, None)
    files = {f"Data/{_MODEL}": bytes(model.SerializeToString(deterministic=True))}
    weights = package / "Data" / _WEIGHTS
    for path in sorted(weights.glob("*")):
        files[f"Data/{_WEIGHTS}/{path.name}"] = path.read_bytes()
    files["Manifest.json"] = _manifest(has_weights=weights.is_dir())
    return files


def _manifest(*, has_weights: bool) -> bytes:
    """Return the package's list of entries, with identifiers computed from the entries' paths."""
    items = {_MODEL: ("model.mlmodel", "CoreML Model Specification")}
    if has_weights:
        items[_WEIGHTS] = ("weights", "CoreML Model Weights")
    entries: dict[str, Mapping[str, str]] = {
        str(uuid.uuid5(uuid.NAMESPACE_URL, path)): {
            "author": "com.apple.CoreML",
            "description": description,
            "name": name,
            "path": path,
        }
        for path, (name, description) in items.items()
    }
    content = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": entries,
        "rootModelIdentifier": str(uuid.uuid5(uuid.NAMESPACE_URL, _MODEL)),
    }
    return json.dumps(content, indent=4).encode()


def _operations(model: Any) -> list[Any]:
    function = model.get_spec().mlProgram.functions["main"]
    return list(function.block_specializations[function.opset].operations)


def operators_of(model: Any) -> list[str]:
    """Return the types of the operators of coremltools' model, in order, without constants."""
    kinds = [operation.type for operation in _operations(model)]
    return [kind for kind in kinds if kind != "const" and not kind.startswith("constexpr_")]


def computed_weights(model: Any) -> tuple[str, ...]:
    """Return the names of convolutions and linear layers whose weights are computed."""
    operations = _operations(model)
    constants = {o.outputs[0].name for o in operations if o.type == "const"}
    return tuple(
        operation.attributes["name"].immediateValue.tensor.strings.values[0]
        for operation in operations
        if operation.type in ("conv", "linear")
        and operation.inputs["weight"].arguments[0].name not in constants
    )
