"""The interface of a task: a kind of work that the training loop trains networks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.base import build_model
from edge_pipeline.models.network import Network
from edge_pipeline.registry import TASKS

if TYPE_CHECKING:
    from edge_pipeline.train.recipe import Recipe

__all__ = ["Batch", "Share", "Task", "TaskModule", "Validation", "check_network", "task_module"]

# The samples of one step: a NamedTuple of tensors.
Batch = Any


@dataclass(frozen=True)
class Share:
    """The share of each batch that one of several processes computes.

    Attributes:
        rank: Number of the process, from 0.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1


@dataclass(frozen=True)
class Validation:
    """The result of a validation.

    Attributes:
        metrics: Metrics by name, for the log, the progress and the model card.
        score: The metric that early stopping maximises.
        summary: The metrics in one line, for the terminal.
        pictures: Sample pictures [3, H, W] by name, 0 to 1, for the log.
    """

    metrics: dict[str, float]
    score: float
    summary: str
    pictures: dict[str, Tensor] = field(default_factory=dict)


class Task(Protocol):
    """A task with its data loaded."""

    def batch(self, step: int, share: Share) -> Batch:
        """Return the samples of a step, on the CPU: a NamedTuple of tensors.

        They depend on the step, the recipe and the share only, so a resumed training continues as
        if it had not stopped. The shares of all processes together are the batch of one process.
        """
        ...

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss over the samples of a batch on the network's device."""
        ...

    def validate(self, model: nn.Module) -> Validation:
        """Return the metrics of a network on the validation data."""
        ...

    def card(self) -> dict[str, object]:
        """Return the fields of the model card that depend on the task."""
        ...


class TaskModule(Protocol):
    """Interface of a task's module, which `registry.TASKS` lists.

    Attributes:
        Settings: pydantic model of the recipe's `settings`.
    """

    Settings: type[Any]

    def check(self, recipe: Recipe, settings: Any, options: Mapping[str, Any], /) -> None:
        """Check that the recipe's parts fit each other, without reading data.

        Args:
            recipe: The recipe.
            settings: The recipe's settings.
            options: All options of the recipe's network.

        Raises:
            InputError: If a part does not fit; the message names its field.
        """
        ...

    def open_task(self, recipe: Recipe, settings: Any, world: int, /) -> Task:
        """Load the data of a recipe.

        Args:
            recipe: The recipe.
            settings: The recipe's settings.
            world: Number of processes.

        Raises:
            InputError: If a data set cannot be used, or the task does not support `world`.
        """
        ...


def task_module(name: str) -> TaskModule:
    """Return the module of a registered task.

    Raises:
        UnknownNameError: If no task has this name.
    """
    return cast(TaskModule, TASKS.load(name))


def check_network(recipe: Recipe, *, takes: str, returns: str) -> None:
    """Check that a recipe's network has the kinds of input and output that its task requires.

    Args:
        recipe: The recipe.
        takes: Kind of the network's first input, the `space` of a `models.network.Port`.
        returns: Kind of its first output.

    Raises:
        InputError: If the network has other kinds.
    """
    with torch.device("meta"):  # allocates no weights
        network = cast(Network, build_model(recipe.model, recipe.options))
    found = network.inputs[0].space, network.outputs[0].space
    if found != (takes, returns):
        raise InputError(
            f"model: {recipe.model} does not fit the task {recipe.task}: it maps {found[0]} to "
            f"{found[1]}, and the task requires a network from {takes} to {returns}"
        )
