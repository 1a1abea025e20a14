"""Fakes as LiteRT artifacts; they need torch and litert-torch, and take seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.artifact.manifest import Delegation
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compiler.backends.litert.convert import convert
from tests.fakes.artifacts import demosaic_weight, make_files
from tests.programs import exported

__all__ = ["make_litert_artifact", "two_by_two"]


class _Nearest(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 12, 1, bias=False)
        self.conv.weight.data = torch.from_numpy(np.ascontiguousarray(demosaic_weight(1)))
        self.shuffle = torch.nn.PixelShuffle(2)

    def forward(self, packed: torch.Tensor) -> torch.Tensor:  # [1, 4, h, w] -> [1, 3, 2h, 2w]
        rgb: torch.Tensor = self.shuffle(self.conv(packed))
        return rgb


def make_litert_artifact(folder: Path, *, size: tuple[int, int] = (32, 48)) -> Artifact:
    """Write and open a small LiteRT artifact of a fixed packed height and width."""
    program = exported(_Nearest(), torch.zeros(1, 4, *size))
    manifest, files = make_files(filters="folded", size=size)
    spec = manifest.programs[0].model_copy(
        update={
            "file": "forward.tflite",
            "delegation": Delegation(delegate="XNNPACK", delegated={"CONV_2D": 1}, outside={}),
        }
    )
    manifest = manifest.model_copy(update={"backend": "litert", "programs": (spec,)})
    content = {
        "forward.tflite": convert(program, ["packed"], ["rgb"]),
        spec.reference: files[spec.reference],
    }
    return write_artifact(folder, manifest, content, force=False)


def two_by_two() -> bytes:
    """(b [1, 2], a [1, 3]) -> (sum of a [1, 1], b + 1 [1, 2]), with names against the alphabet."""

    class Two(torch.nn.Module):
        def forward(self, b: torch.Tensor, a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return a.sum(1, keepdim=True), b + 1.0

    program = exported(Two(), torch.zeros(1, 2), torch.zeros(1, 3))
    return convert(program, ["b", "a"], ["z.sum", "y"])
