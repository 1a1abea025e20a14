"""Train, compile, verify, measure and run vision networks whose weights are computed.

Public names are imported on first use, so that `import edge_pipeline` is fast and requires neither
torch nor a runtime.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_pipeline.artifact.store import Artifact
    from edge_pipeline.compiler.compile import CompileRequest, compile_model
    from edge_pipeline.compiler.compile import compile_module as compile
    from edge_pipeline.compiler.source.description import Description
    from edge_pipeline.isp.develop import develop
    from edge_pipeline.isp.settings import Settings
    from edge_pipeline.models.amortised import Amortised
    from edge_pipeline.models.base import build_model
    from edge_pipeline.models.checkpoint import load_checkpoint
    from edge_pipeline.proof.verify import verify_artifact
    from edge_pipeline.raw.capture import read_capture
    from edge_pipeline.runtime.base import open_session
    from edge_pipeline.segmentation.segmenter import segment

__all__ = [
    "Amortised",
    "Artifact",
    "CompileRequest",
    "Description",
    "Settings",
    "build_model",
    "compile",
    "compile_model",
    "develop",
    "load_checkpoint",
    "open_session",
    "read_capture",
    "segment",
    "verify_artifact",
]

__version__ = "0.1.0"

# ONNX Runtime reads this when it is imported. Without it, it writes a device id and an event
# database into the user's cache folder and looks up a telemetry host. SECURITY.md has more.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_MODULES = {
    "Amortised": "edge_pipeline.models.amortised",
    "Artifact": "edge_pipeline.artifact.store",
    "CompileRequest": "edge_pipeline.compiler.compile",
    "Description": "edge_pipeline.compiler.source.description",
    "Settings": "edge_pipeline.isp.settings",
    "build_model": "edge_pipeline.models.base",
    "compile": "edge_pipeline.compiler.compile",
    "compile_model": "edge_pipeline.compiler.compile",
    "develop": "edge_pipeline.isp.develop",
    "load_checkpoint": "edge_pipeline.models.checkpoint",
    "open_session": "edge_pipeline.runtime.base",
    "read_capture": "edge_pipeline.raw.capture",
    "segment": "edge_pipeline.segmentation.segmenter",
    "verify_artifact": "edge_pipeline.proof.verify",
}

# Public names that shadow a built-in function are called differently in their modules.
_NAMES = {"compile": "compile_module"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), _NAMES.get(name, name))


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
