"""Import of packages that only an extra installs."""

from __future__ import annotations

import importlib
from types import ModuleType

from edge_pipeline.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or say which extra brings it.

    Args:
        module: the module's dotted name.
        extra: the extra of this package that installs it.
        purpose: what needs it, for the message ("compiling", "training", ...).

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.split(".", maxsplit=1)[0]
        if error.name is None or error.name.split(".", maxsplit=1)[0] != top:
            raise
        raise MissingExtraError(
            f"{purpose} needs the package {top}, which is not installed; "
            f"run: pip install 'edge-pipeline[{extra}]'"
        ) from error
