"""A training at rest: weights, their running average, Adam's moments and the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from edge_pipeline.errors import CheckpointError
from edge_pipeline.files import atomic_file

__all__ = ["TrainingState", "load_state", "save_state"]

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class TrainingState:
    """What changes from step to step.

    Attributes:
        model: the network.
        average: the running average of its weights, by name.
        optimizer: Adam over `model.parameters()`.
        step: steps done.
    """

    model: nn.Module
    average: dict[str, Tensor]
    optimizer: torch.optim.Adam
    step: int = 0


def save_state(path: Path, state: TrainingState, recipe: str) -> None:
    """Write a state, whole or not at all.

    Args:
        path: the file.
        state: what to write.
        recipe: the recipe as JSON; a resume under another one is refused.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in state.model.named_parameters():
        tensors[f"model.{name}"] = parameter.detach()
        for moment in _MOMENTS:
            value = state.optimizer.state.get(parameter, {}).get(moment)
            tensors[f"{moment}.{name}"] = torch.zeros_like(parameter) if value is None else value
    tensors |= {f"average.{name}": value for name, value in state.average.items()}
    ready = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_file(path) as temporary:
        safetensors.torch.save_file(
            ready, temporary, metadata={"step": str(state.step), "recipe": recipe}
        )


def load_state(path: Path, state: TrainingState, recipe: str) -> None:
    """Read a state into `state`.

    Args:
        path: the file that save_state wrote.
        state: of the same network; all of it is replaced.
        recipe: the recipe as JSON.

    Raises:
        CheckpointError: the file is damaged, or of a training with another recipe.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as a training state: {error}") from error
    if metadata.get("recipe") != recipe:
        raise CheckpointError(
            f"{path} was written under another recipe; give its recipe, or another run folder"
        )
    state.step = int(metadata["step"])
    with torch.no_grad():
        for name, parameter in state.model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
            state.average[name].copy_(tensors[f"average.{name}"])
            state.optimizer.state[parameter] = {
                "step": torch.tensor(float(state.step)),
                **{moment: tensors[f"{moment}.{name}"].to(parameter.device) for moment in _MOMENTS},
            }
