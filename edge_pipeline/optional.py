"""Import of packages that only an extra of this package installs."""

from __future__ import annotations

import importlib
from types import ModuleType

from edge_pipeline.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import and return `module`, or name the extra that installs it.

    Args:
        module: Dotted name of the module.
        extra: Extra of this package that installs it.
        purpose: Activity that requires it, for the message ("compiling", "training", ...).

    Raises:
        MissingExtraError: If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.split(".", maxsplit=1)[0]
        if error.name is None or error.name.split(".", maxsplit=1)[0] != top:
            raise
        raise MissingExtraError(
            f"{purpose} requires the package {top}, which is not installed; "
            f"run: pip install 'edge-pipeline[{extra}]'"
        ) from error
