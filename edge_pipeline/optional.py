"""Import of packages that only an extra of this package installs."""

from __future__ import annotations

import importlib
import platform
import re
from importlib.metadata import PackageNotFoundError, requires
from types import ModuleType

from packaging.requirements import Requirement

from edge_pipeline.errors import MissingExtraError

__all__ = ["has_wheels", "require"]

_PROJECT = "edge-pipeline"


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import and return `module`, or name the extra that installs it.

    Args:
        module: Dotted name of the module.
        extra: Extra of this package that installs it, or several, separated by commas.
        purpose: Activity that requires it, for the message ("compiling", "training", ...).

    Raises:
        MissingExtraError: If the module is not installed. The message tells how to install it, or
            that there are no wheels for this Python and machine.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.split(".", maxsplit=1)[0]
        if error.name is None or error.name.split(".", maxsplit=1)[0] != top:
            raise
        if not has_wheels(top, extra):
            raise MissingExtraError(
                f"{purpose} requires the package {top}, which has no wheels for Python "
                f"{'.'.join(platform.python_version_tuple()[:2])} on {platform.system()} "
                f"{platform.machine()}; use a Python and a machine that "
                "docs/how-to/install.md lists for the extra "
                f"{' or '.join(extra.split(','))}"
            ) from error
        raise MissingExtraError(
            f"{purpose} requires the package {top}, which is not installed; "
            f"run: pip install 'edge-pipeline[{extra}]'"
        ) from error


def has_wheels(package: str, extra: str) -> bool:
    """Return whether an extra installs a package on this Python and this machine.

    The markers of `pyproject.toml` state where a package has wheels; this reads them from the
    metadata of the installed distribution.

    Args:
        package: Name of the package, with hyphens or underscores.
        extra: One extra, or several, separated by commas.

    Returns:
        False only if a marker excludes this Python or machine.
    """
    try:
        stated = [Requirement(text) for text in requires(_PROJECT) or ()]
    except PackageNotFoundError:  # the package is run from a folder without being installed
        return True
    markers = [found.marker for found in stated if _plain(found.name) == _plain(package)]
    wanted = [
        marker
        for marker in markers
        if marker is not None and any(f'"{name}"' in str(marker) for name in extra.split(","))
    ]
    return not wanted or any(
        marker.evaluate({"extra": name}) for marker in wanted for name in extra.split(",")
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
