"""Check of an artifact's output folder, so that no other files are overwritten or deleted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from edge_pipeline.artifact.schema import MANIFEST_FILE, SEAL_FILE
from edge_pipeline.errors import OutputError
from edge_pipeline.files import check_outside_artifacts

__all__ = ["IGNORED", "check_output"]

# File managers create these files in any folder that they show; they are ignored.
IGNORED = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def check_output(folder: Path, *, force: bool, sources: Iterable[Path] = ()) -> None:
    """Check that an artifact can be written to `folder`, before it is compiled.

    Args:
        folder: Output folder of the artifact.
        force: Whether an existing artifact in `folder` may be replaced.
        sources: Files and folders that the artifact is made from.

    Raises:
        OutputError: If `folder` exists and may not be replaced, if its parent folder cannot be
            written or lies inside an artifact or a source, or if a source lies inside `folder`.
    """
    check_outside_artifacts(folder)
    for source in sources:
        _check_apart(folder, source)
    if os.path.lexists(folder) and not force:
        raise OutputError(f"{folder} exists; give --force to replace it, or give another name")
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
        raise OutputError(f"{folder} is not a folder; give another name")
    foreign = _foreign(folder)
    if foreign is not None:
        raise OutputError(
            f"{folder} contains {foreign}, which is not part of an artifact, so it is not "
            "replaced; give another name"
        )
    above = folder.absolute().parent
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        raise OutputError(f"cannot write {folder}: {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {folder}: no permission to write in {above}")


def _check_apart(folder: Path, source: Path) -> None:
    output, taken = Path(os.path.realpath(folder)), Path(os.path.realpath(source))
    if taken in output.parents and taken.is_dir():
        raise OutputError(f"{folder} lies inside the source {source}; give a folder outside of it")
    if output in taken.parents:
        raise OutputError(
            f"the source {source} lies inside {folder}, the artifact's output folder; give another "
            "folder"
        )


def _foreign(folder: Path) -> str | None:
    """Return a file in `folder` that is not part of an artifact, which `--force` must not delete.

    The artifact may be damaged: a file that its manifest lists counts as part of it.
    """
    if not folder.exists():
        return None
    try:
        present = {path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
        listed = json.loads((folder / MANIFEST_FILE).read_bytes())["files"]
        own = {folder / name for name in (*listed, MANIFEST_FILE, SEAL_FILE)}
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise OutputError(f"cannot write {folder}: {error.strerror}") from error
        own = set()
    except (ValueError, KeyError, TypeError):
        own = {folder / MANIFEST_FILE, folder / SEAL_FILE}
    others = sorted(path for path in present - own if path.name not in IGNORED)
    return str(others[0].relative_to(folder)) if others else None
