"""Put a trained checkpoint in the place of the shipped model, with the artifact compiled from it.

    python -m tools.ship_isp CHECKPOINT [--folder calibration/pretrained/isp_default]

The folder gets `checkpoint.safetensors` and `artifact/`, compiled for ONNX Runtime with refolded
filters. It is replaced whole or not at all.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_pipeline.compiler.compile import CompileRequest, compile_model
from edge_pipeline.errors import CheckpointError, EdgePipelineError, InputError
from edge_pipeline.files import atomic_folder, packaged
from edge_pipeline.models.checkpoint import load_checkpoint

__all__ = ["FOLDER", "LARGEST_BYTES", "main", "ship"]

FOLDER = packaged("calibration") / "pretrained" / "isp_default"
# What the wheel, the repository and a phone's application can carry.
LARGEST_BYTES = 16_000_000


def ship(checkpoint: Path, folder: Path = FOLDER, *, largest_bytes: int = LARGEST_BYTES) -> int:
    """Compile a checkpoint and put both into `folder`, which is replaced.

    Args:
        checkpoint: of a network with computed filters that develops packed Bayer captures.
        folder: where the shipped model lies.
        largest_bytes: how much checkpoint and artifact may take together.

    Returns:
        How many bytes they take.

    Raises:
        CheckpointError: the checkpoint is damaged, or its model card states no linear camera RGB.
        InputError: checkpoint and artifact take more than `largest_bytes`, or the network cannot
            be compiled with refolded filters.
        OutputError: `folder` cannot be written.
    """
    space = load_checkpoint(checkpoint).card.get("output_space")
    if space != "camera_linear":
        raise CheckpointError(
            f"{checkpoint} has the output space {space!r}; the shipped model must give "
            "camera_linear"
        )
    with atomic_folder(folder, replace=True) as new:
        shipped = new / "checkpoint.safetensors"
        shutil.copyfile(checkpoint, shipped)
        compile_model(
            CompileRequest(
                source=shipped, output=new / "artifact", backend="onnx", filters="refolded"
            )
        )
        size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
        if size > largest_bytes:
            raise InputError(
                f"checkpoint and artifact take {size} bytes and {largest_bytes} may be shipped; "
                "train a network with fewer channels or a smaller n_basis"
            )
    return size


def main(arguments: Sequence[str] | None = None) -> int:
    """Ship a checkpoint; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args(arguments)
    try:
        size = ship(given.checkpoint, given.folder)
    except EdgePipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{given.folder} holds {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
