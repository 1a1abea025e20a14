"""`edge-pipeline train`: train a network from a recipe and write its checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edge_pipeline.errors import EdgePipelineError

if TYPE_CHECKING:
    from edge_pipeline.train.machines import Machines
    from edge_pipeline.train.recipe import Recipe

__all__ = ["command"]


class Accelerator(StrEnum):
    """Accelerators to train on."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def command(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="Name of a recipe in the package, or a YAML file."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run: checkpoint, state and log.")
    ],
    *,
    start: Annotated[Path | None, typer.Option(help="Checkpoint with the initial weights.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the state in the folder.")
    ] = False,
    accelerator: Annotated[
        Accelerator, typer.Option(help="Device to train on.")
    ] = Accelerator.AUTO,
    devices: Annotated[
        int, typer.Option(min=1, help="Processes on each machine, each with a device of its own.")
    ] = 1,
    nodes: Annotated[
        int,
        typer.Option(
            min=1,
            help="Machines; start the command on each one, with MASTER_ADDR, MASTER_PORT and "
            "NODE_RANK in its environment, or with torchrun or srun.",
        ),
    ] = 1,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for torch's default.")] = 0,
    every: Annotated[
        int, typer.Option(min=1, help="Steps between validations, which also write a checkpoint.")
    ] = 1000,
) -> None:
    """Train a network from a recipe; Ctrl-C saves the state, --resume continues from it."""
    from edge_pipeline.optional import require

    torch = require("torch", "train", "training")
    require("lightning_fabric", "train", "training")
    require("tensorboard", "train", "training")
    from edge_pipeline.train.machines import Machines
    from edge_pipeline.train.recipe import load_recipe

    chosen = load_recipe(recipe)
    if threads:
        torch.set_num_threads(threads)
    machines = Machines(accelerator.value, devices, nodes)
    with _ended_by_first(machines):
        checkpoint = _train_shown(
            chosen, output, start=start, resume=resume, machines=machines, every=every
        )
        if machines.is_first:
            typer.echo(f"wrote {checkpoint}")


def _train_shown(recipe: Recipe, output: Path, *, machines: Machines, **options: Any) -> Path:
    """Train with a progress bar, which only the first process shows, and return the checkpoint."""
    from edge_pipeline.train.loop import Progress as Step
    from edge_pipeline.train.loop import train

    columns = (
        TextColumn("{task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, quiet=not machines.is_first)
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("loading", total=recipe.optimiser.steps)

        def report(step: Step) -> None:
            bar.update(task, completed=step.step, description=f"loss {step.loss:.4f}")
            if step.validation is not None:
                bar.console.print(f"step {step.step}: {step.validation.summary}", highlight=False)

        return train(recipe, output, machines=machines, report=report, **options)


@contextmanager
def _ended_by_first(machines: Machines) -> Iterator[None]:
    """End the other processes of this machine silently and with exit code 0 after an error.

    The first process reports the error, which all of them have. Lightning Fabric kills the first
    process while it still writes the state if another process ends with another exit code.
    """
    try:
        yield
    except (EdgePipelineError, KeyboardInterrupt) as error:
        if machines.processes > 1 and os.environ.get("LOCAL_RANK", "0") != "0":
            raise typer.Exit from error
        raise
