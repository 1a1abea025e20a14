"""What a terminal says of an artifact."""

import io

from rich.console import Console

from edge_pipeline.artifact.manifest import Delegation
from edge_pipeline.artifact.provenance import Calibration, Loss
from edge_pipeline.report.artifact import artifact_facts, artifact_table
from tests.fakes.artifacts import make_artifact


def test_a_row_has_the_programs_cost_and_size(tmp_path):
    artifact = make_artifact(tmp_path / "a")
    out = io.StringIO()
    Console(file=out, width=120).print(artifact_table(artifact))
    (program,) = artifact.manifest.programs
    size = artifact.path(program.file).stat().st_size
    for word in ("forward", "onnxruntime", f"{program.macs / 1e9:.3f}", f"{size / 1024:.0f} KiB"):
        assert word in out.getvalue()


def test_facts_name_losses_and_what_stays_outside(tmp_path):
    manifest = make_artifact(tmp_path / "a").manifest
    assert next(iter(artifact_facts(manifest))).startswith("verified: ")
    on = Calibration.of([], "none")
    losses = (
        Loss(cause="folding", metric="psnr_db", before=30.0, after=29.5, loss=0.5, on=on),
        Loss(cause="precision", metric="dice", before=0.8, after=0.7, loss=0.1, on=on),
        Loss(
            cause="precision", metric="psnr_to_before_db", before=None, after=51, loss=None, on=on
        ),
    )
    outside = Delegation(delegate="X", delegated={}, outside={"convolution": 1}, outside_share=0.93)
    (program,) = manifest.programs
    changed = manifest.model_copy(
        update={
            "checked": "translation",
            "losses": losses,
            "notes": ("mind the gap",),
            "programs": (program.model_copy(update={"delegation": outside}),),
        }
    )
    lines = list(artifact_facts(changed))
    assert "another program evaluated the file" in lines[0]
    assert lines[1:] == [
        "forward: operators outside the delegate (convolution) use 93% of a run's time",
        "folding loses 0.500 dB PSNR: 30.000 before, 29.500 after",
        "the precision loses 0.100 Dice: 0.800 before, 0.700 after",
        "the precision: 51.00 dB relative to the output of the original network",
        "mind the gap",
    ]
