"""Tiny segmenters with phi that nobody trained, and tiny folders of pictures and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_pipeline.models.base import fresh_model
from edge_pipeline.models.checkpoint import save_checkpoint

__all__ = ["SIZE", "TINY", "write_checkpoint", "write_pictures"]

SIZE = (20, 24)
TINY: dict[str, Any] = {
    "encoder": "3-4",
    "decoder": "3",
    "hidden1": 4,
    "hidden2": 6,
    "phi_min": 0.1,
    "phi_max": 0.6,
    "height": SIZE[0],
    "width": SIZE[1],
}


def write_checkpoint(path: Path, model: str = "phi_unet_pets", **changes: Any) -> Path:
    """A checkpoint of a fresh network; its score differs between values of phi.

    Args:
        path: Path of the file.
        model: Registered name of the network.
        changes: Options other than those of `TINY`; None removes one of these.
    """
    options = {k: v for k, v in (TINY | changes).items() if v is not None}
    network = fresh_model(model, options, seed=3)
    card = {"name": "tiny", "description": "x", "training_data": ["none"], "licence": "CC0"}
    card |= {"input_space": "srgb", "output_space": "logits"}
    save_checkpoint(path, model=model, options=options, state=network.state_dict(), card=card)
    return path


def write_pictures(folder: Path, count: int = 3, *, values: int = 2, seed: int = 0) -> Path:
    """A folder with `images` and `masks` of noise; each mask has the values 0 to `values` - 1."""
    rng = np.random.default_rng(seed)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        picture = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        mask = rng.integers(0, values, SIZE, dtype=np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder
