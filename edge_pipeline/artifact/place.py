"""Where an artifact may be written: beside what is there, never over what is somebody's own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from edge_pipeline.artifact.schema import MANIFEST_FILE, SEAL_FILE
from edge_pipeline.errors import OutputError
from edge_pipeline.files import check_outside_artifacts

__all__ = ["IGNORED", "check_output"]

# File managers drop these into any folder they show; nothing reads them.
IGNORED = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def check_output(folder: Path, *, force: bool, sources: Iterable[Path] = ()) -> None:
    """Refuse a place where an artifact cannot go, before the work of making one.

    Args:
        folder: where it is to go.
        force: whether an artifact that stands there may be replaced.
        sources: files and folders that it is made from.

    Raises:
        OutputError: something stands there that may not be replaced, the folder that would hold it
            cannot be written or is an artifact's or a source's own, or a source lies in `folder`.
    """
    check_outside_artifacts(folder)
    for source in sources:
        _check_apart(folder, source)
    if os.path.lexists(folder) and not force:
        raise OutputError(f"{folder} exists; give --force to replace it, or another name")
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
        raise OutputError(f"{folder} is not a folder; give another name")
    foreign = _foreign(folder)
    if foreign is not None:
        raise OutputError(
            f"{folder} holds something other than an artifact, {foreign}, and is not replaced; "
            "give another name"
        )
    above = folder.absolute().parent
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        raise OutputError(f"cannot write {folder}: {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {folder}: {above} may not be written")


def _check_apart(folder: Path, source: Path) -> None:
    output, taken = Path(os.path.realpath(folder)), Path(os.path.realpath(source))
    if taken in output.parents and taken.is_dir():
        raise OutputError(f"{folder} lies inside the source {source}; give a place outside of it")
    if output in taken.parents:
        raise OutputError(
            f"the source {source} lies inside {folder}, where the artifact is to go; give another "
            "place"
        )


def _foreign(folder: Path) -> str | None:
    """A file in `folder` that is no artifact's: `--force` must not delete somebody's photographs.

    An artifact may be damaged, so what its manifest lists counts, whatever it holds.
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
