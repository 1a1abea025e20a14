"""Recipes of trainings that take a second, and a labelled data set that they read."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from edge_pipeline.train.machines import Machines
from edge_pipeline.train.recipe import Recipe
from edge_pipeline.train.task import Share, Task

__all__ = [
    "CPU",
    "ISP",
    "PROCEDURAL",
    "discs_recipe",
    "half_losses",
    "isp_recipe",
    "shared_recipe",
    "write_discs",
]

CPU = Machines("cpu")
PROCEDURAL = {"dataset": "procedural", "options": {"count": 6, "size": 200}}
ISP = {
    "data": [PROCEDURAL],
    "validation": {"dataset": "procedural", "options": {"count": 1, "size": 64}},
}
SIZE = (24, 28)
_COUNTS = {"train": 6, "val": 3, "test": 1}


def isp_recipe(settings: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """A recipe of the task `isp` with six steps; `settings` are merged into its settings."""
    return Recipe.model_validate(
        {
            "name": "tiny",
            "task": "isp",
            "model": "hyperconv_unet",
            "options": {"n_fwd": 2, "n_embed": 2, "n_hid": 2, "head": "shuffle"},
            "settings": ISP | {"crop": 32, "loss": {"ms_ssim": 0}} | (settings or {}),
            "optimiser": {"learning_rate": 1e-3, "batch": 1, "steps": 6, "average": 0.5},
        }
        | changes
    )


def shared_recipe(precision: str = "32-true") -> Recipe:
    """With the network, the loss and the settings that the shipped model is trained with."""
    weights = {"mse": 0, "ms_ssim": 0, "log_coded": 1, "alternation": 0.5, "phase_mean": 1}
    return isp_recipe(
        {"crop": 32, "shared_filters": True, "loss": weights | {"border": 4}},
        model="hyperconv_isp",
        options={"width": 4, "coarse": 4, "n_basis": 2},
        optimiser={
            "learning_rate": 1e-3,
            "batch": 2,
            "steps": 6,
            "average": 0.5,
            "clip": 1.0,
            "precision": precision,
        },
    )


def write_discs(folder: Path, labels: int = 2) -> Path:
    """Write a data set `folder` of discs on dark ground, with splits of its own.

    Args:
        folder: Folder to write into.
        labels: Number of labels; each disc has a colour of its label.
    """
    rng = np.random.default_rng(0)
    colours = np.array([[20, 30, 60], [230, 180, 40], [60, 220, 120]])
    for split, count in _COUNTS.items():
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for index in range(count):
            mask = disc(rng) * (1 + index % (labels - 1))
            codes = colours[mask] + rng.integers(-15, 16, (*SIZE, 3))
            name = f"{split}{index}.png"
            Image.fromarray(codes.clip(0, 255).astype(np.uint8)).save(
                folder / split / "images" / name
            )
            Image.fromarray(mask.astype(np.uint8)).save(folder / split / "masks" / name)
    return folder


def disc(rng: np.random.Generator) -> np.ndarray:
    """A mask [*SIZE] of a disc, with the labels 0 and 1."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    top, left = rng.integers(8, SIZE[0] - 8), rng.integers(8, SIZE[1] - 8)
    return ((rows - top) ** 2 + (columns - left) ** 2 < rng.integers(4, 8) ** 2).astype(np.int64)


def discs_recipe(
    folder: Path,
    settings: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    **optimiser: Any,
) -> Recipe:
    """A recipe of the task `segmentation` with six steps; the arguments are merged into it."""
    network = {"encoder": "4-6", "decoder": "4", "hidden1": 4, "hidden2": 8}
    return Recipe.model_validate(
        {
            "name": "discs",
            "task": "segmentation",
            "model": "phi_unet_pets",
            "options": network | {"phi_min": 0.2, "phi_max": 0.6} | (options or {}),
            "rescale": True,
            "settings": {
                "dataset": "folder",
                "options": {
                    "folder": str(folder),
                    "licence": "CC0-1.0",
                    "labels": ["ground", "disc"],
                },
                "crop": [16, 16],
                "prior": {"low": 0.2, "high": 0.6},
                "validation_phi": [0.3, 0.5],
            }
            | (settings or {}),
            "optimiser": {"learning_rate": 0.01, "betas": [0.9, 0.99], "batch": 4, "steps": 6}
            | optimiser,
        }
    )


def half_losses(task: Task, model: torch.nn.Module, step: int) -> list[torch.Tensor]:
    """The losses of two processes for a step."""
    return [task.loss(model, task.batch(step, Share(rank, 2))) for rank in range(2)]
