"""Save and load a training: weights and buffers, their average, Adam's moments and the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from edge_pipeline.errors import CheckpointError
from edge_pipeline.files import atomic_file
from edge_pipeline.models.base import build_model, fresh_model, options_of
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.train.recipe import Recipe

__all__ = ["TrainingState", "fresh_state", "load_state", "save_state", "update_average"]

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class TrainingState:
    """The part of a training that changes with each step.

    Attributes:
        model: The network.
        average: Running average of the network's weights and of its persistent buffers, such as
            the statistics of batch normalisation, by name; buffers of integers are copied.
        optimizer: Adam over `model.parameters()`.
        step: Number of finished steps.
        best: Highest score of a validation so far.
        waited: Number of validations since the one with the highest score.
    """

    model: nn.Module
    average: dict[str, Tensor]
    optimizer: torch.optim.Adam
    step: int = 0
    best: float = -math.inf
    waited: int = 0


def fresh_state(recipe: Recipe, device: torch.device, start: Path | None) -> TrainingState:
    """Return the state before the first step.

    Args:
        recipe: The recipe.
        device: Device of the network.
        start: Checkpoint with the weights; fresh weights of the recipe's seed if None.

    Raises:
        CheckpointError: If the checkpoint is damaged or of another network.
        InputError: If the network's options are not valid.
    """
    if start is not None:
        model = _begun(recipe, start)
    else:
        build = fresh_model if recipe.rescale else build_model
        model = build(recipe.model, recipe.options, seed=recipe.seed)
    model = model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), betas=recipe.optimiser.betas)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    return TrainingState(model, average, optimizer)


@torch.no_grad()
def update_average(state: TrainingState, decay: float) -> None:
    """Move the running average towards the current weights and buffers.

    Args:
        state: State whose average is changed in place.
        decay: Share of the average that is kept; 0 copies the weights.
    """
    for name, value in state.model.state_dict().items():
        if value.is_floating_point():
            state.average[name].lerp_(value, 1 - decay)
        else:
            state.average[name].copy_(value)


def _begun(recipe: Recipe, start: Path) -> nn.Module:
    """Return the recipe's network with the weights of a checkpoint."""
    given, own = load_checkpoint(start), options_of(recipe.model, recipe.options)
    if (given.model, given.options) != (recipe.model, own):
        raise CheckpointError(
            f"{start} contains {given.model} with {given.options}; the recipe {recipe.name} "
            f"trains {recipe.model} with {own}"
        )
    return given.build()


def save_state(path: Path, state: TrainingState, recipe: str) -> None:
    """Write a training state atomically.

    Args:
        path: Path of the file.
        state: State to write.
        recipe: Recipe as JSON; `load_state` requires the same recipe.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in state.model.state_dict().items():
        tensors[f"model.{name}"] = value
    for name, parameter in state.model.named_parameters():
        for moment in _MOMENTS:
            known = state.optimizer.state.get(parameter, {}).get(moment)
            tensors[f"{moment}.{name}"] = torch.zeros_like(parameter) if known is None else known
    tensors |= {f"average.{name}": value for name, value in state.average.items()}
    ready = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_file(path) as temporary:
        safetensors.torch.save_file(
            ready,
            temporary,
            metadata={
                "step": str(state.step),
                "best": repr(state.best),
                "waited": str(state.waited),
                "recipe": recipe,
            },
        )


def load_state(path: Path, state: TrainingState, recipe: str) -> None:
    """Read a training state into `state`.

    Args:
        path: File that `save_state` wrote.
        state: State of the same network, all of which is replaced.
        recipe: Recipe as JSON.

    Raises:
        CheckpointError: If the file is damaged or of a training with another recipe.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a training state; it is damaged, so begin the training "
            "again in another folder"
        ) from error
    if metadata.get("recipe") != recipe:
        raise CheckpointError(
            f"{path} was written under another recipe; give its recipe, or another run folder"
        )
    state.step = int(metadata["step"])
    state.best, state.waited = float(metadata["best"]), int(metadata["waited"])
    with torch.no_grad():
        for name, value in state.model.state_dict().items():
            value.copy_(tensors[f"model.{name}"])
            state.average[name].copy_(tensors[f"average.{name}"])
        for name, parameter in state.model.named_parameters():
            state.optimizer.state[parameter] = {
                "step": torch.tensor(float(state.step)),
                **{moment: tensors[f"{moment}.{name}"].to(parameter.device) for moment in _MOMENTS},
            }
