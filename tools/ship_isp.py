"""Replace the shipped model with a trained checkpoint and the artifact compiled from it.

    python -m tools.ship_isp CHECKPOINT [--folder calibration/pretrained/isp_default]

`checkpoint.safetensors` and `artifact/`, compiled for ONNX Runtime with refolded filters, are
written into the folder, which is replaced atomically.
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
# Largest size of checkpoint and artifact: it limits the wheel, the repository and phone apps.
LARGEST_BYTES = 16_000_000


def ship(checkpoint: Path, folder: Path = FOLDER, *, largest_bytes: int = LARGEST_BYTES) -> int:
    """Compile a checkpoint, and replace `folder` with the checkpoint and its artifact.

    Args:
        checkpoint: Checkpoint of a network with computed filters that develops packed Bayer.
        folder: Folder of the shipped model.
        largest_bytes: Largest total size of checkpoint and artifact.

    Returns:
        The total size of checkpoint and artifact in bytes.

    Raises:
        CheckpointError: If the checkpoint is damaged, or the output space in its model card is not
            `camera_linear`.
        InputError: If checkpoint and artifact are larger than `largest_bytes`, or the network
            cannot be compiled with refolded filters.
        OutputError: If `folder` cannot be written.
    """
    space = load_checkpoint(checkpoint).card.get("output_space")
    if space != "camera_linear":
        raise CheckpointError(
            f"{checkpoint} has the output space {space!r}; that of the shipped model must be "
            "camera_linear"
        )
    with atomic_folder(folder, replace=True) as new:
        shipped = new / "checkpoint.safetensors"
        shutil.copyfile(checkpoint, shipped)
        compile_model(
            CompileRequest(
                source=shipped,
                output=new / "artifact",
                backend="onnx",
                filters="refolded",
                streamed=True,
            )
        )
        size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
        if size > largest_bytes:
            raise InputError(
                f"checkpoint and artifact take {size} bytes; at most {largest_bytes} can be "
                "shipped: train a network with fewer channels or a smaller n_basis"
            )
    return size


def main(arguments: Sequence[str] | None = None) -> int:
    """Ship a checkpoint and return the exit code."""
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
