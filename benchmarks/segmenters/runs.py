"""The trainings of the study: one network for every phi, and networks for one phi each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_pipeline.files import atomic_file
from edge_pipeline.train.recipe import Recipe, load_recipe

__all__ = ["FIXED", "SEEDS", "Run", "is_trained", "runs_of", "train_run"]

SEEDS = (0, 1, 2)
FIXED = (0.2, 0.3, 0.4, 0.5, 0.6)
_RESULT = "training.json"
# A process that a run executes: training with its CPU time in the end.
_CHILD = """
import json, sys, time
from edge_pipeline.cli.main import main
code = main(sys.argv[2:])
print(json.dumps({"cpu_s": time.process_time()}), file=open(sys.argv[1], "w"))
sys.exit(code)
"""


@dataclass(frozen=True)
class Run:
    """One training of the study.

    Attributes:
        name: Name of the run's folder.
        phi: The phi of a network with ordinary weights; None for the network for every phi.
        seed: Seed of weights and samples.
        recipe: The recipe.
    """

    name: str
    phi: float | None
    seed: int
    recipe: Recipe


def runs_of(recipe: str, steps: int | None = None) -> Iterator[Run]:
    """Yield the trainings of a recipe, those of one seed after another.

    Args:
        recipe: Name or path of the recipe of the network for every phi.
        steps: Number of steps of each training; None for that of the recipe.
    """
    base = load_recipe(recipe)
    if steps is not None:
        optimiser = base.optimiser.model_copy(update={"steps": steps})
        base = base.model_copy(update={"optimiser": optimiser})
    for seed in SEEDS:
        yield Run(f"every-{seed}", None, seed, base.model_copy(update={"seed": seed}))
        for phi in FIXED:
            yield Run(f"fixed-{phi:g}-{seed}", phi, seed, _fixed(base, phi, seed))


def _fixed(base: Recipe, phi: float, seed: int) -> Recipe:
    """Return the recipe of the same network with ordinary weights for one phi."""
    options = base.options | {"hyper": False, "phi_min": phi, "phi_max": phi}
    prior = {"prior": {"low": phi, "high": phi}, "validation_phi": [phi]}
    return base.model_copy(
        update={
            "name": f"{base.name}_fixed",
            "options": options,
            "settings": base.settings | prior,
            "seed": seed,
        }
    )


def is_trained(run: Run, folder: Path) -> bool:
    """Return whether a run of the folder of all runs is finished."""
    return (folder / run.name / _RESULT).exists()


def train_run(run: Run, folder: Path, *, threads: int) -> dict[str, Any]:
    """Train a run that is not finished, and return its record.

    An interrupted run continues from its state, which is written at each validation.

    Args:
        run: The run.
        folder: Folder of all runs.
        threads: Number of threads.

    Returns:
        `cpu_s`, the processor time of the training with all its parts, and `steps`.

    Raises:
        subprocess.CalledProcessError: If the training fails.
    """
    own = folder / run.name
    done = own / _RESULT
    if done.exists():
        record: dict[str, Any] = json.loads(done.read_text())
        return record
    own.mkdir(parents=True, exist_ok=True)
    recipe = own / "recipe.json"  # JSON is YAML
    recipe.write_text(run.recipe.model_dump_json(indent=1))
    part = own / f"part-{len(list(own.glob('part-*.json')))}.json"
    command = ["train", str(recipe), "-o", str(own / "run"), "--threads", str(threads)]
    command += ["--accelerator", "cpu", "--every", "500"]
    if (own / "run" / "state.safetensors").exists():
        command.append("--resume")
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    whole = [sys.executable, "-c", _CHILD, str(part), *command]
    subprocess.run(whole, check=True, env=environment)  # noqa: S603 - a fixed command of ours
    parts = [json.loads(path.read_text())["cpu_s"] for path in own.glob("part-*.json")]
    record = {"cpu_s": sum(parts), "steps": run.recipe.optimiser.steps}
    with atomic_file(done) as temporary:
        Path(temporary).write_text(json.dumps(record))
    return record
