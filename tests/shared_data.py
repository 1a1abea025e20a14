"""Where the shared data lies; a test that needs it skips, saying why, when it is absent."""

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(name: str) -> Path:
    """The path of `name` under ../shared, or a skip."""
    path = _SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/{name} is not here")
    return path
