"""The folded fake as an ExecuTorch artifact; needs torch and executorch, and takes seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.artifact.manifest import Delegation
from edge_pipeline.artifact.store import Artifact
from tests.fakes.artifacts import demosaic_weight, make_files

__all__ = ["make_executorch_artifact"]


class _Nearest(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 12, 1, bias=False)
        self.conv.weight.data = torch.from_numpy(np.ascontiguousarray(demosaic_weight(1)))
        self.shuffle = torch.nn.PixelShuffle(2)

    def forward(self, packed: torch.Tensor) -> torch.Tensor:  # [1, 4, h, w] -> [1, 3, 2h, 2w]
        rgb: torch.Tensor = self.shuffle(self.conv(packed))
        return rgb


def make_executorch_artifact(
    folder: Path, *, size: tuple[int, int] = (32, 48), force: bool = False
) -> Artifact:
    """Write and open a small ExecuTorch artifact of a fixed packed height and width."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    example = (torch.zeros(1, 4, *size),)
    exported = torch.export.export(_Nearest().eval(), example)
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    manifest, files = make_files(filters="folded", size=size)
    program = manifest.programs[0].model_copy(
        update={
            "file": "forward.pte",
            "delegation": Delegation(
                delegate="XnnpackBackend", delegated={"convolution": 1}, outside={}
            ),
        }
    )
    manifest = manifest.model_copy(update={"backend": "executorch", "programs": (program,)})
    content = {
        "forward.pte": bytes(lowered.to_executorch().buffer),
        program.reference: files[program.reference],
    }
    return write_artifact(folder, manifest, content, force=force)
