"""Trainings of segmenters in this process, and the cases of them that are slow."""

import pytest
import torch

from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.train.loop import train
from edge_pipeline.train.recipe import settings_of
from edge_pipeline.train.tasks.segmentation import open_task
from tests.fakes.trainings import CPU

__all__ = ["equal", "opened", "run", "slow_unless"]


def opened(recipe, world=1):
    return open_task(recipe, settings_of(recipe), world)


def run(recipe, folder, **options):
    """The losses of a training and its checkpoint."""
    losses = []
    path = train(
        recipe,
        folder,
        machines=CPU,
        report=lambda progress: losses.append(progress.loss),
        **{"every": 100} | options,
    )
    return losses, load_checkpoint(path)


def slow_unless(cases, *fast):
    """Cases for `parametrize`, of which all but some are slow."""
    return [pytest.param(case, marks=() if case in fast else pytest.mark.slow) for case in cases]


def equal(first, second):
    return all(torch.equal(first.state[name], second.state[name]) for name in first.state)
