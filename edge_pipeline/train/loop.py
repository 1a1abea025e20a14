"""The training loop, from a recipe to a checkpoint; resuming leads to the same result."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from edge_pipeline.errors import EdgePipelineError, JobError, OutputError
from edge_pipeline.files import check_outside_artifacts
from edge_pipeline.models.base import build_model, options_of
from edge_pipeline.models.checkpoint import save_checkpoint
from edge_pipeline.train.batches import batches
from edge_pipeline.train.exchange import Exchange
from edge_pipeline.train.interrupt import delayed_interrupt
from edge_pipeline.train.machines import Machines, open_fabric
from edge_pipeline.train.recipe import Recipe, settings_of
from edge_pipeline.train.state import (
    TrainingState,
    fresh_state,
    load_state,
    save_state,
    update_average,
)
from edge_pipeline.train.task import Batch, Task, Validation, task_module

__all__ = ["Progress", "learning_rate", "train"]

_STATE, _CHECKPOINT = "state.safetensors", "checkpoint.safetensors"


@dataclass(frozen=True)
class Progress:
    """The progress of a training after a step.

    Attributes:
        step: Number of finished steps.
        steps: Total number of steps.
        loss: Loss of the last step.
        validation: Result of the validation after this step; None if there was none.
    """

    step: int
    steps: int
    loss: float
    validation: Validation | None


def learning_rate(recipe: Recipe, step: int) -> float:
    """Return the learning rate of a step: 200 steps of warm-up, constant, then cosine decay to 0.

    Args:
        recipe: Recipe whose optimiser settings are used.
        step: Number of the step, from 0.
    """
    optimiser = recipe.optimiser
    start = optimiser.decay_from * optimiser.steps
    factor = min(1.0, (step + 1) / 200)
    if step > start:
        factor *= 0.5 * (1 + math.cos(math.pi * (step - start) / (optimiser.steps - start)))
    return optimiser.learning_rate * factor


def train(
    recipe: Recipe,
    folder: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
    machines: Machines | None = None,
    every: int = 1000,
    report: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train a network, log to TensorBoard and write `checkpoint.safetensors`.

    Args:
        recipe: Recipe of the training.
        folder: Folder of the run, for the state, the checkpoint and the log; created if absent. All
            nodes need access to it.
        start: Checkpoint with the initial weights; fresh weights if None. Ignored if `resume`.
        resume: Whether to continue from the state in `folder`. The result is that of a run without
            a stop, bit for bit on one machine with the same number of threads and processes.
        machines: Accelerator, devices and nodes; one device of any kind if None. With several
            processes, this function starts the program that called it again in each of them.
        every: Number of steps between validations; each validation writes a checkpoint.
        report: Function that the first process calls after each step.

    Returns:
        Path of the checkpoint.

    Raises:
        OutputError: If `folder` contains a training and `resume` is off, if it contains none and
            `resume` is on, or if it is in an artifact.
        CheckpointError: If the state is damaged or of another recipe, or if `start` is damaged or
            of another network.
        InputError: If a data set, an option of the network, a setting of the task, or the machines
            cannot be used. After a step, the state is written first.
        KeyboardInterrupt: After Ctrl-C, once the step is finished and the state is written.
        JobError: If the loss or its gradient is not finite, or a process is lost; the state before
            that step is written.
    """
    machines = machines or Machines()
    check_outside_artifacts(folder / _STATE)
    if (folder / _STATE).exists() != resume:
        found, remedy = ("no training", "leave out") if resume else ("a training", "give")
        raise OutputError(f"{folder} contains {found}; {remedy} --resume, or give another folder")
    settings = settings_of(recipe)
    machines.check(recipe.optimiser.batch)
    task = task_module(recipe.task).open_task(recipe, settings, machines.processes)
    fabric = open_fabric(machines, recipe.optimiser.precision)
    exchange = Exchange(fabric)

    def begin() -> TrainingState:
        state = fresh_state(recipe, fabric.device, None if resume else start)
        machines.check_network(recipe.model, state.model)
        if resume:
            load_state(folder / _STATE, state, recipe.model_dump_json())
        return state

    state = exchange.together(begin)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {folder}: {error.strerror}") from error
    run = _Run(recipe, folder, task, fabric, exchange, state)
    try:
        run.steps(every, report)
    except (KeyboardInterrupt, EdgePipelineError):
        run.save_state()
        raise
    finally:
        run.close()
    return folder / _CHECKPOINT


class _Run:
    """A training with its data, state and log; the first process alone writes files."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        task: Task,
        fabric: Fabric,
        exchange: Exchange,
        state: TrainingState,
    ) -> None:
        self._recipe, self._folder, self._task = recipe, folder, task
        self._fabric, self._exchange, self._state = fabric, exchange, state
        self._log: Any = None
        if exchange.is_first:
            self._log = SummaryWriter(str(folder), purge_step=state.step)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def save_state(self) -> None:
        if self._exchange.is_first and self._state.step:
            save_state(self._folder / _STATE, self._state, self._recipe.model_dump_json())

    def steps(self, every: int, report: Callable[[Progress], None]) -> None:
        """Run all steps from `state.step`; validate and write a checkpoint after each `every`."""
        state, last = self._state, self._recipe.optimiser.steps
        if state.step == last:  # stopped after the last step, before its checkpoint
            self._validate()
        if self._is_done():
            return
        with (
            delayed_interrupt() as asked,
            batches(self._task, self._exchange.share, first=state.step, last=last) as ahead,
        ):
            while state.step < last:
                loss = self._step(ahead)
                validation = None
                if state.step % every == 0 or state.step == last:
                    validation = self._validate()
                if self._exchange.is_first:
                    report(Progress(state.step, last, loss, validation))
                if self._exchange.any(asked()):
                    raise KeyboardInterrupt
                if validation is not None and self._is_done():
                    return

    def _is_done(self) -> bool:
        """Return whether the score has not improved for as long as the recipe waits."""
        patience = self._recipe.optimiser.patience
        return bool(patience) and self._state.waited >= patience

    def _step(self, ahead: Iterator[Batch]) -> float:
        """Run one training step, update the average of the weights, and return the loss."""
        recipe, state, exchange = self._recipe, self._state, self._exchange
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, state.step)
        state.optimizer.zero_grad(set_to_none=True)
        loss = exchange.together(functools.partial(self._loss, ahead))
        value = float(exchange.mean(loss.detach()))
        if not math.isfinite(value):
            raise self._not_finite(f"the loss is {value}")
        self._fabric.backward(loss)
        parameters = list(state.model.parameters())
        exchange.share_gradients(parameters)
        # Adam would make all weights NaN, and they would be saved.
        norm = nn.utils.clip_grad_norm_(parameters, recipe.optimiser.clip or math.inf)
        if not math.isfinite(norm):
            raise self._not_finite(f"the norm of the gradient is {float(norm)}")
        state.optimizer.step()
        state.step += 1
        update_average(state, recipe.optimiser.average)
        if self._log is not None and (state.step % 50 == 0 or state.step == recipe.optimiser.steps):
            self._log.add_scalar("loss", value, state.step)
            self._log.add_scalar("learning_rate", learning_rate(recipe, state.step), state.step)
        return value

    def _loss(self, ahead: Iterator[Batch]) -> Tensor:
        """Return the loss of the next batch."""
        batch = next(ahead)
        batch = type(batch)._make(part.to(self._fabric.device) for part in batch)
        with self._fabric.autocast():
            return self._task.loss(self._state.model, batch)

    def _not_finite(self, fact: str) -> JobError:
        """Return the error of a training that has diverged, with advice that is possible."""
        checkpoint = self._folder / _CHECKPOINT
        again = "train again in another folder with a lower optimiser.learning_rate"
        if checkpoint.exists():
            again += f" and --start {checkpoint}"
        return JobError(f"{fact} at step {self._state.step}; {again}")

    def _validate(self) -> Validation:
        """Validate the averaged weights; write the state and, unless it is worse, a checkpoint."""
        exchange, state, patience = self._exchange, self._state, self._recipe.optimiser.patience
        validation = exchange.together(self._validated)
        score = exchange.broadcast(validation.score)
        improved = score > state.best  # never for NaN, the score of pictures without any label
        if improved:
            state.best = score
        state.waited = 0 if improved else state.waited + 1
        kept = patience and (self._folder / _CHECKPOINT).exists()
        exchange.together(lambda: self._write(validation, checkpoint=improved or not kept))
        return validation

    def _validated(self) -> Validation:
        """Return the metrics of the averaged weights; only the first process computes them."""
        if not self._exchange.is_first:
            return Validation({}, 0.0, "")
        model = build_model(self._recipe.model, self._recipe.options).to(self._fabric.device)
        model.load_state_dict(self._state.average)
        with torch.no_grad():
            return self._task.validate(model)

    def _write(self, validation: Validation, *, checkpoint: bool) -> None:
        """Write the log, the state and, if requested, a checkpoint, in the first process only."""
        recipe, state = self._recipe, self._state
        if not self._exchange.is_first:
            return
        for name, value in validation.metrics.items():
            self._log.add_scalar(f"validation/{name}", value, state.step)
        for name, picture in validation.pictures.items():
            self._log.add_image(f"validation/{name}", picture, state.step)
        if checkpoint:
            # A model card has no NaN, the metric of a label that no picture has.
            known = {k: value for k, value in validation.metrics.items() if math.isfinite(value)}
            metrics = known | {"training_steps": float(state.step)}
            card = {
                "name": recipe.name,
                "description": recipe.description,
                "licence": recipe.licence,
                "metrics": metrics,
            }
            save_checkpoint(
                self._folder / _CHECKPOINT,
                model=recipe.model,
                options=options_of(recipe.model, recipe.options),
                state=state.average,
                card=card | self._task.card(),
            )
        self.save_state()
