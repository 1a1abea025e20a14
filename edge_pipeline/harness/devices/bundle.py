"""The part of this package that a worker on another machine imports, as one file."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import edge_pipeline

__all__ = ["bundle_bytes", "bundle_name"]

_FOLDERS = ("artifact", "harness", "record", "runtime")
# The oldest date of the format: equal sources make equal files.
_DATE = (1980, 1, 1, 0, 0, 0)


def bundle_bytes() -> bytes:
    """Return a zip file with the worker's modules, from which Python can import them."""
    root = Path(edge_pipeline.__file__).parent
    paths = list(root.glob("*.py"))
    for folder in _FOLDERS:
        paths += (root / folder).rglob("*.py")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(paths):
            entry = zipfile.ZipInfo(path.relative_to(root.parent).as_posix(), _DATE)
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def bundle_name(content: bytes) -> str:
    """Return a name for a bundle, which is different for other contents."""
    return f"package-{hashlib.sha256(content).hexdigest()[:16]}.zip"
