"""`edge-pipeline train`: train a network from a recipe and write its checkpoint."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

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
        int, typer.Option(min=1, help="Processes of this machine, each with its own device.")
    ] = 1,
    nodes: Annotated[
        int, typer.Option(min=1, help="Machines; start the command on each of them.")
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
    from edge_pipeline.train.loop import Progress as Step
    from edge_pipeline.train.loop import train
    from edge_pipeline.train.machines import Machines
    from edge_pipeline.train.recipe import load_recipe

    chosen = load_recipe(recipe)
    if threads:
        torch.set_num_threads(threads)
    columns = (
        TextColumn("{task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("loading", total=chosen.optimiser.steps)

        def report(step: Step) -> None:
            bar.update(task, completed=step.step, description=f"loss {step.loss:.4f}")
            if step.validation is not None:
                bar.console.print(f"step {step.step}: {step.validation.summary}", highlight=False)

        checkpoint = train(
            chosen,
            output,
            start=start,
            resume=resume,
            machines=Machines(accelerator.value, devices, nodes),
            every=every,
            report=report,
        )
    typer.echo(f"wrote {checkpoint}")
