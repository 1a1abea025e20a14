"""Checkpoints: safetensors files with a network's weights, name, options and model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from edge_pipeline.errors import CheckpointError, EdgePipelineError
from edge_pipeline.files import atomic_file, sha256_of
from edge_pipeline.models.base import build_model, options_of

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

_VERSION = "1"


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file.

    Attributes:
        model: Registered name of the network.
        options: All options of the network.
        state: The network's parameters, by name.
        card: The model card, ready for JSON (see artifact.provenance.ModelCard).
        sha256: SHA-256 hash of the file.
    """

    model: str
    options: dict[str, Any]
    state: dict[str, Tensor]
    card: dict[str, Any]
    sha256: str

    def build(self) -> nn.Module:
        """Return the network with these weights, in eval mode.

        Raises:
            CheckpointError: If the weights do not fit the network.
        """
        model = build_model(self.model, self.options)
        try:
            model.load_state_dict(self.state)
        except RuntimeError as error:
            first = next((line for line in str(error).splitlines()[1:] if line.strip()), str(error))
            problem, *others = first.strip().split('", "')
            more = f'" and {len(others)} more' if others else ""
            raise CheckpointError(
                f"the weights do not fit {self.model} with its options: {problem}{more}"
            ) from error
        return model


def save_checkpoint(
    path: Path,
    *,
    model: str,
    options: Mapping[str, Any],
    state: Mapping[str, Tensor],
    card: Mapping[str, Any],
) -> None:
    """Write a checkpoint atomically.

    Args:
        path: Path of the file; it ends in `.safetensors`.
        model: Registered name of the network.
        options: Some or all of the network's options.
        state: The network's parameters by name, as `state_dict` returns them.
        card: The model card, ready for JSON.

    Raises:
        OutputError: If the file cannot be written.
    """
    metadata = {
        "edge_pipeline.checkpoint": _VERSION,
        "model": model,
        "options": json.dumps(options_of(model, options)),
        "card": json.dumps(dict(card)),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with atomic_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=metadata)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: Path of the file.

    Raises:
        CheckpointError: If the file does not exist, is damaged or was not written by
            `save_checkpoint`.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; give a checkpoint (.safetensors)")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}") from error
    if metadata.get("edge_pipeline.checkpoint") != _VERSION:
        raise CheckpointError(
            f"{path} contains weights but no edge-pipeline description; save it with "
            "save_checkpoint"
        )
    try:
        options = options_of(metadata["model"], json.loads(metadata["options"]))
        card = json.loads(metadata["card"])
    except (KeyError, ValueError, EdgePipelineError) as error:
        raise CheckpointError(f"{path} describes its network wrongly: {error}") from error
    return Checkpoint(metadata["model"], options, state, card, sha256_of(path))
