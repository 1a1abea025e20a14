"""`edge-pipeline develop`: what the command line itself refuses."""

import os
from pathlib import Path

import numpy as np
import pytest

from edge_pipeline.cli.main import main
from tests.fakes.artifacts import make_artifact

HEADERLESS = ["--width", "16", "--height", "12", "--bits", "12", "--cfa", "rggb", "--wb", "1,1,1"]


def test_an_unreadable_capture_does_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = make_artifact(tmp_path / "model").folder
    captures = [tmp_path / "locked.raw", tmp_path / "open.raw"]
    for capture in captures:
        capture.write_bytes(np.full(16 * 12, 900, "<u2").tobytes())
    # Tests may run as root, for whom nothing is locked: both ways to find out are stood in for.
    allowed, opened = os.access, Path.open

    def access(path: str, *rest: object, **options: object) -> bool:
        return Path(os.fsdecode(path)) != captures[0] and allowed(path, *rest, **options)

    def locked(self: Path, *rest: object, **options: object) -> object:
        if self == captures[0]:
            raise PermissionError(13, "Permission denied")
        return opened(self, *rest, **options)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(Path, "open", locked)
    words = [*map(str, captures), "-o", f"{tmp_path}/out", "--model", str(artifact), *HEADERLESS]
    assert main(["develop", *words]) == 2
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["open.jpg"]
    assert "locked.raw cannot be read: permission denied" in capsys.readouterr().err
