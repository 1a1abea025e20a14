"""Captures with known values, sentences that refuse, and stand-ins for the reader's process."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_pipeline.errors import CaptureError
from edge_pipeline.raw import capture as capture_module
from edge_pipeline.raw.capture import read_capture
from edge_pipeline.raw.cfa import per_pixel

__all__ = ["LEVELS", "refusal", "scene", "stand_in"]

LEVELS = (100.0, 200.0, 300.0, 400.0)  # R, G on red rows, G on blue rows, B


def scene(pattern: str, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """A mosaic where each CFA position has its own value: 1100, 1200, 1300, 1400."""
    return (1000 + per_pixel(LEVELS, pattern, shape)).astype(np.uint16)


def refusal(path: Path, **options: Any) -> str:
    """The sentence that refuses `path`; it names the file and is one line."""
    with pytest.raises(CaptureError) as caught:
        read_capture(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert "Traceback" not in message
    assert len(message) < 300 + len(str(path))
    return message.removeprefix(str(path)).strip()


def stand_in(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a module in the reader's place; return a file to read."""
    (tmp_path / "fake_reader.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(capture_module, "_READER", "fake_reader")
    path = tmp_path / "a.dng"
    path.write_bytes(b"II*\0")
    return path
