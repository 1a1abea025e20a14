"""Folders for tests of atomic writing: their entries, and one that is written."""

from pathlib import Path

from edge_pipeline.files import atomic_folder

__all__ = ["snapshot", "write_folder"]


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every entry below `folder`, with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def write_folder(path: Path) -> None:
    with atomic_folder(path, replace=True) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "a").write_bytes(b"new")
