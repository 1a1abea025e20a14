"""`edge-pipeline train`: what stands on the terminal."""

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="training needs the extra train")

import typer

from edge_pipeline.cli.train import command
from edge_pipeline.train import loop
from edge_pipeline.train.task import Validation

app = typer.Typer()
app.command()(command)
SUMMARY = "PSNR in dB: none 31.25, low 30.50, medium 28.00, high 26.75"


def test_validation_figures_stand_whole_in_a_narrow_terminal(tmp_path, monkeypatch):
    def fake(recipe, folder, *, report, every, **_):
        found = Validation({}, 31.25, SUMMARY)
        for step in (1, 2):
            report(loop.Progress(step, 12000, 0.5, found if step == every else None))
        return folder / "checkpoint.safetensors"

    monkeypatch.setattr(loop, "train", fake)
    words = ["isp_default", "-o", str(tmp_path / "run"), "--every", "2"]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if line.startswith("step")]
    assert told == [f"step 2: {SUMMARY}"]
    assert "\N{HORIZONTAL ELLIPSIS}" not in result.stderr
