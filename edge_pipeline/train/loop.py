"""The training loop, from a recipe to a checkpoint; resuming leads to the same result."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from edge_pipeline.errors import CheckpointError, InputError, JobError, OutputError
from edge_pipeline.files import check_outside_artifacts
from edge_pipeline.models.base import build_model, fresh_model, options_of
from edge_pipeline.models.checkpoint import load_checkpoint, save_checkpoint
from edge_pipeline.train.batches import batches
from edge_pipeline.train.interrupt import delayed_interrupt
from edge_pipeline.train.machines import Machines, open_fabric
from edge_pipeline.train.recipe import Recipe, settings_of
from edge_pipeline.train.state import TrainingState, load_state, save_state
from edge_pipeline.train.task import Batch, Share, Task, Validation, task_module

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
        machines: Accelerator, devices and nodes; one device of any kind if None.
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
            cannot be used.
        KeyboardInterrupt: After Ctrl-C, once the step is finished and the state is written.
        JobError: If the loss is not finite; the state before that step is written.
    """
    machines = machines or Machines()
    check_outside_artifacts(folder / _STATE)
    if machines.is_first and (folder / _STATE).exists() != resume:
        found, remedy = ("no training", "leave out") if resume else ("a training", "give")
        raise OutputError(f"{folder} contains {found}; {remedy} --resume, or give another folder")
    settings = settings_of(recipe)
    machines.check(recipe.optimiser.batch)
    task = task_module(recipe.task).open_task(recipe, settings, machines.processes)
    fabric = open_fabric(machines, recipe.optimiser.precision)
    state = _fresh_state(recipe, fabric, None if resume else start)
    if resume:
        load_state(folder / _STATE, state, recipe.model_dump_json())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {folder}: {error.strerror}") from error
    run = _Run(recipe, folder, task, fabric, state)
    try:
        run.steps(every, report)
    except (KeyboardInterrupt, JobError):
        run.save_state()
        raise
    finally:
        run.close()
    return folder / _CHECKPOINT


def _fresh_state(recipe: Recipe, fabric: Fabric, start: Path | None = None) -> TrainingState:
    if start is not None:
        model = _begun(recipe, start)
    else:
        build = fresh_model if recipe.rescale else build_model
        model = build(recipe.model, recipe.options, seed=recipe.seed)
    model = model.to(fabric.device).train()
    optimizer = torch.optim.Adam(model.parameters(), betas=recipe.optimiser.betas)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    return TrainingState(model, average, optimizer)


def _begun(recipe: Recipe, start: Path) -> nn.Module:
    """Return the recipe's network with the weights of a checkpoint."""
    given, own = load_checkpoint(start), options_of(recipe.model, recipe.options)
    if (given.model, given.options) != (recipe.model, own):
        raise CheckpointError(
            f"{start} contains {given.model} with {given.options}; the recipe {recipe.name} "
            f"trains {recipe.model} with {own}"
        )
    return given.build()


class _Run:
    """A training with its data, state and log; the first process alone writes files."""

    def __init__(
        self, recipe: Recipe, folder: Path, task: Task, fabric: Fabric, state: TrainingState
    ) -> None:
        self._recipe, self._folder, self._task = recipe, folder, task
        self._fabric, self._state = fabric, state
        self._log: Any = None
        if fabric.is_global_zero:
            self._log = SummaryWriter(str(folder), purge_step=state.step)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def save_state(self) -> None:
        if self._fabric.is_global_zero:
            save_state(self._folder / _STATE, self._state, self._recipe.model_dump_json())

    def steps(self, every: int, report: Callable[[Progress], None]) -> None:
        """Run all steps from `state.step`; validate and write a checkpoint after each `every`."""
        state, fabric, last = self._state, self._fabric, self._recipe.optimiser.steps
        if state.step == last:  # stopped after the last step, before its checkpoint
            self._validate()
        if self._is_done():
            return
        share = Share(fabric.global_rank, fabric.world_size)
        with delayed_interrupt() as asked:
            for batch in batches(self._task, share, first=state.step, last=last):
                loss = self._step(type(batch)(*(x.to(fabric.device) for x in batch)))
                validation = None
                if state.step % every == 0 or state.step == last:
                    validation = self._validate()
                if fabric.is_global_zero:
                    report(Progress(state.step, last, loss, validation))
                if self._any(asked()):
                    raise KeyboardInterrupt
                if validation is not None and self._is_done():
                    return

    def _is_done(self) -> bool:
        """Return whether the score has not improved for as long as the recipe waits."""
        patience = self._recipe.optimiser.patience
        return bool(patience) and self._state.waited >= patience

    def _any(self, value: bool) -> bool:  # noqa: FBT001 - the function of the built-in `any`
        """Return whether the value is true in any process, so that all of them stop together."""
        if self._fabric.world_size == 1:
            return value
        flag = torch.tensor(float(value), device=self._fabric.device)
        return bool(self._fabric.all_reduce(flag, reduce_op="sum"))

    def _step(self, batch: Batch) -> float:
        """Run one training step, update the average of the weights, and return the loss."""
        recipe, fabric, state = self._recipe, self._fabric, self._state
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, state.step)
        state.optimizer.zero_grad(set_to_none=True)
        with fabric.autocast():
            loss = self._task.loss(state.model, batch)
        value = float(self._mean(loss.detach()))
        if not math.isfinite(value):
            raise JobError(
                f"the loss is {value} at step {state.step}; train with a lower learning_rate, "
                f"from this state's checkpoint with --start if there is one"
            )
        fabric.backward(loss)
        self._share_gradients()
        if recipe.optimiser.clip:
            torch.nn.utils.clip_grad_norm_(state.model.parameters(), recipe.optimiser.clip)
        state.optimizer.step()
        state.step += 1
        with torch.no_grad():
            for name, parameter in state.model.named_parameters():
                state.average[name].lerp_(parameter, 1 - recipe.optimiser.average)
        if self._log is not None and state.step % 50 == 0:
            self._log.add_scalar("loss", value, state.step)
            self._log.add_scalar("learning_rate", learning_rate(recipe, state.step), state.step)
        return value

    def _mean(self, value: Tensor) -> Tensor:
        """Return the mean over all processes."""
        if self._fabric.world_size == 1:
            return value
        return self._fabric.all_reduce(value, reduce_op="mean")

    def _share_gradients(self) -> None:
        """Replace all gradients by their mean over all processes, in one exchange."""
        if self._fabric.world_size == 1:
            return
        gradients = [p.grad for p in self._state.model.parameters() if p.grad is not None]
        flat = self._mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(
            gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def _validate(self) -> Validation:
        """Validate the averaged weights; write the state and, unless it is worse, a checkpoint."""
        recipe, state = self._recipe, self._state
        validation = Validation({}, 0.0, "")
        if self._fabric.is_global_zero:
            model = build_model(recipe.model, recipe.options).to(self._fabric.device)
            model.load_state_dict(state.average)
            with torch.no_grad():
                validation = self._task.validate(model)
        score = self._fabric.broadcast(validation.score)
        improved = score > state.best
        state.best, state.waited = max(score, state.best), 0 if improved else state.waited + 1
        if self._fabric.is_global_zero:
            self._write(validation, checkpoint=improved or not recipe.optimiser.patience)
        self._fabric.barrier()
        return validation

    def _write(self, validation: Validation, *, checkpoint: bool) -> None:
        recipe, state = self._recipe, self._state
        for name, value in validation.metrics.items():
            self._log.add_scalar(f"validation/{name}", value, state.step)
        for name, picture in validation.pictures.items():
            self._log.add_image(f"validation/{name}", picture, state.step)
        if checkpoint:
            metrics = validation.metrics | {"training_steps": float(state.step)}
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
