"""The files that tests read: those in tests/data, and the capture that the package ships."""

from pathlib import Path

from edge_pipeline.files import packaged

__all__ = ["CHART", "data_file"]

CHART = packaged("calibration") / "captures" / "colorchart.dng"
_FOLDER = Path(__file__).parent / "data"


def data_file(name: str) -> Path:
    """Return the path of a file or folder in tests/data."""
    path = _FOLDER / name
    assert path.exists(), path
    return path
