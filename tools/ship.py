"""Replace a shipped model with a trained checkpoint and the artifact compiled from it.

    python -m tools.ship CHECKPOINT [--folder calibration/pretrained/NAME]

`checkpoint.safetensors` and `artifact/`, compiled for ONNX Runtime, are written into the folder,
which is replaced atomically. The output space of the checkpoint's model card decides which model
is replaced: `isp_default` for camera_linear, `phi_unet_nuclei` for logits.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from edge_pipeline.compiler.compile import CompileRequest, compile_model
from edge_pipeline.errors import CheckpointError, EdgePipelineError, InputError
from edge_pipeline.files import atomic_folder, packaged
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.models.network import Trimmable

__all__ = ["SHIPPED", "Shipped", "main", "ship", "size_of"]


@dataclass(frozen=True)
class Shipped:
    """A model that the package contains.

    Attributes:
        name: Name of its folder.
        largest_bytes: Largest size of checkpoint and artifact: it limits the wheel, the repository
            and phone apps.
        smaller: Advice for a checkpoint that is too large.
        request: How its artifact is compiled, as fields of `CompileRequest`.
    """

    name: str
    largest_bytes: int
    smaller: str
    request: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of the model."""
        return packaged("calibration") / "pretrained" / self.name


# The shipped models by the output space of their networks.
SHIPPED = {
    "camera_linear": Shipped(
        "isp_default",
        16_000_000,
        "train a network with fewer channels or a smaller n_basis",
        {"filters": "refolded", "streamed": True},
    ),
    "logits": Shipped(
        "phi_unet_nuclei",
        8_000_000,
        "train a network with fewer channels or a smaller hidden2",
        # Close to the best Dice score for its cost, see docs/segmenters.md.
        {"fixed": {"phi": 0.3}, "respecialisable": True},
    ),
}


def ship(checkpoint: Path, folder: Path | None = None, *, largest_bytes: int | None = None) -> Path:
    """Compile a checkpoint, and replace a shipped model with the checkpoint and its artifact.

    Args:
        checkpoint: Checkpoint of a network of one of the output spaces of `SHIPPED`.
        folder: Folder of the shipped model; None for the model's own.
        largest_bytes: Largest total size of checkpoint and artifact; None for the model's own.

    Returns:
        The folder.

    Raises:
        CheckpointError: If the checkpoint is damaged, or no shipped model has the output space in
            its model card.
        InputError: If checkpoint and artifact are larger than `largest_bytes`, or the network
            cannot be compiled as the shipped model is.
        OutputError: If `folder` cannot be written.
    """
    found = load_checkpoint(checkpoint)
    space = str(found.card.get("output_space"))
    if space not in SHIPPED:
        raise CheckpointError(
            f"{checkpoint} has the output space {space!r}; that of a shipped model must be "
            f"{' or '.join(SHIPPED)}"
        )
    model = SHIPPED[space]
    folder, largest = folder or model.folder, largest_bytes or model.largest_bytes
    with atomic_folder(folder, replace=True) as new:
        shipped = new / "checkpoint.safetensors"
        shutil.copyfile(checkpoint, shipped)
        output = new / "artifact"
        compile_model(
            CompileRequest(
                source=shipped,
                output=output,
                backend="onnx",
                trimmed=_is_trimmable(found.build()),
                **model.request,
            )
        )
        size = size_of(new)
        if size > largest:
            raise InputError(
                f"checkpoint and artifact take {size} bytes; at most {largest} can be shipped: "
                f"{model.smaller}"
            )
    return folder


def _is_trimmable(network: nn.Module) -> bool:
    """Return whether tiles of a network take less time if its output is trimmed."""
    return isinstance(network, Trimmable) and getattr(network, "halo", None) is not None


def size_of(folder: Path) -> int:
    """Return the size of all files below a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(arguments: Sequence[str] | None = None) -> int:
    """Ship a checkpoint and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args(arguments)
    try:
        folder = ship(given.checkpoint, given.folder)
    except EdgePipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{folder} holds {size_of(folder) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
