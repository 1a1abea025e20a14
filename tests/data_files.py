"""The files that tests read: those in tests/data, and the capture that the package ships."""

import os
from pathlib import Path

import pytest

from edge_pipeline.files import packaged

__all__ = ["CHART", "data_file", "more_captures"]

CHART = packaged("calibration") / "captures" / "colorchart.dng"
_FOLDER = Path(__file__).parent / "data"


def data_file(name: str) -> Path:
    """Return the path of a file or folder in tests/data."""
    path = _FOLDER / name
    assert path.exists(), path
    return path


def more_captures(pattern: str) -> list[Path]:
    """Return the captures in the folder EDGE_PIPELINE_CAPTURES; skip the test if there is none.

    Args:
        pattern: Pattern of their names, such as `*.CRW`.
    """
    folder = os.environ.get("EDGE_PIPELINE_CAPTURES")
    found = sorted(Path(folder).rglob(pattern)) if folder else []
    if not found:
        pytest.skip(f"EDGE_PIPELINE_CAPTURES names no folder with {pattern}")
    return found
