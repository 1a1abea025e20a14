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

from edge_pipeline.data.pictures import Mixture, Pictures, load_mixture, load_pictures
from edge_pipeline.data.validation import psnr_by_level
from edge_pipeline.errors import CheckpointError, InputError, JobError, OutputError
from edge_pipeline.files import check_outside_artifacts
from edge_pipeline.models.base import build_model, options_of
from edge_pipeline.models.checkpoint import load_checkpoint, save_checkpoint
from edge_pipeline.raw.noise import NOISE_LEVELS
from edge_pipeline.train.batches import Batch, batches
from edge_pipeline.train.interrupt import interrupt_between_steps
from edge_pipeline.train.losses import coded_error, encode, log_energy, log_mse, ms_ssim
from edge_pipeline.train.recipe import LossWeights, Recipe
from edge_pipeline.train.state import TrainingState, load_state, save_state

__all__ = ["Progress", "learning_rate", "loss_of", "train"]


@dataclass(frozen=True)
class Progress:
    """The progress of a training after a step.

    Attributes:
        step: Number of finished steps.
        steps: Total number of steps.
        loss: Loss of the last step.
        psnr: PSNR in dB by noise level at the last validation; empty before the first one.
    """

    step: int
    steps: int
    loss: float
    psnr: dict[str, float]


def loss_of(developed: Tensor, batch: Batch, weights: LossWeights) -> Tensor:
    """Return the weighted loss.

    Args:
        developed: Output of the network, linear camera RGB [N, 3, H, W].
        batch: Batch with the network's input and target.
        weights: Weights of the loss terms; the paper's loss is MSE + (1 - MS-SSIM) in encoded sRGB.
    """
    matrix, border = batch.camera_to_srgb * batch.push, 2 * weights.border
    inner = (..., slice(border, -border or None), slice(border, -border or None))
    developed, target = developed[inner], batch.target[inner]
    loss = developed.new_zeros(())
    if weights.mse or weights.ms_ssim or weights.log_mse:
        x, y = encode(developed, matrix), encode(target, matrix)
        loss = loss + weights.mse * (x - y).square().mean()
        if weights.ms_ssim:
            loss = loss + weights.ms_ssim * (1 - ms_ssim(x, y))
        if weights.log_mse:
            loss = loss + weights.log_mse * log_mse(x, y)
    if weights.log_coded:
        energy = log_energy(
            coded_error(developed, target, matrix),
            alternation=weights.alternation,
            phase_mean=weights.phase_mean,
        )
        loss = loss + weights.log_coded * energy
    return loss


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
    accelerator: str = "auto",
    every: int = 1000,
    report: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train a network, log to TensorBoard and write `checkpoint.safetensors`.

    Args:
        recipe: Recipe of the training.
        folder: Folder of the run, for the state, the checkpoint and the log; created if absent.
        start: Checkpoint with the initial weights; fresh weights if None. Ignored if `resume`.
        resume: Whether to continue from the state in `folder`. The result is that of a run without
            a stop, bit for bit on one machine with the same number of threads.
        accelerator: `cpu`, `cuda` or `auto`.
        every: Number of steps between validations; each validation writes a checkpoint.
        report: Function that is called after each step.

    Returns:
        Path of the checkpoint.

    Raises:
        OutputError: If `folder` contains a training and `resume` is off, if it contains none and
            `resume` is on, or if it is in an artifact.
        CheckpointError: If the state is damaged or of another recipe, or if `start` is damaged or
            of another network.
        InputError: If a data set, an option of the network or the accelerator cannot be used.
        KeyboardInterrupt: After Ctrl-C, once the step is finished and the state is written.
        JobError: If the loss is not finite.
    """
    state_file = folder / "state.safetensors"
    check_outside_artifacts(state_file)
    if state_file.exists() != resume:
        found, remedy = ("no training", "leave out") if resume else ("a training", "give")
        raise OutputError(f"{folder} contains {found}; {remedy} --resume, or give another folder")
    pictures = load_mixture([(part.dataset, part.share, part.options) for part in recipe.data])
    validation = load_pictures(recipe.validation.dataset, recipe.validation.options)
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise InputError("torch finds no CUDA device here; give --accelerator cpu")
    fabric = Fabric(accelerator=accelerator, devices=1, precision=recipe.optimiser.precision)
    state = _fresh_state(recipe, fabric, None if resume else start)
    if resume:
        load_state(state_file, state, recipe.model_dump_json())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {folder}: {error.strerror}") from error
    both = (pictures, validation)
    with (
        SummaryWriter(str(folder), purge_step=state.step) as log,
        interrupt_between_steps() as stop,
    ):

        def after_step(progress: Progress) -> None:
            report(progress)
            stop()

        try:
            _steps(recipe, folder, fabric, state, both, log, every, after_step)
        except KeyboardInterrupt:
            save_state(state_file, state, recipe.model_dump_json())
            raise
    return folder / "checkpoint.safetensors"


def _fresh_state(recipe: Recipe, fabric: Fabric, start: Path | None = None) -> TrainingState:
    if start is None:
        model = build_model(recipe.model, recipe.options, seed=recipe.seed)
    else:
        model = _begun(recipe, start)
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


def _steps(
    recipe: Recipe,
    folder: Path,
    fabric: Fabric,
    state: TrainingState,
    pictures: tuple[Mixture, Pictures],
    log: SummaryWriter,
    every: int,
    report: Callable[[Progress], None],
) -> None:
    """Run all steps from `state.step`; validate and write a checkpoint after each `every` steps."""
    optimiser = recipe.optimiser
    psnr: dict[str, float] = {}
    if state.step == optimiser.steps:  # stopped after the last step, before its checkpoint
        _checkpoint(recipe, folder, fabric, state, pictures)
    for batch in batches(
        pictures[0],
        size=optimiser.batch,
        crop=recipe.crop,
        seed=recipe.seed,
        first=state.step,
        last=optimiser.steps,
    ):
        loss = _one_step(recipe, fabric, state, Batch(*(x.to(fabric.device) for x in batch)))
        if state.step % 50 == 0:
            log.add_scalar("loss", loss, state.step)
            log.add_scalar("learning_rate", learning_rate(recipe, state.step), state.step)
        if state.step % every == 0 or state.step == optimiser.steps:
            psnr = _checkpoint(recipe, folder, fabric, state, pictures)
            for level, value in psnr.items():
                log.add_scalar(f"psnr_db/{level}", value, state.step)
        report(Progress(state.step, optimiser.steps, loss, psnr))


def _one_step(recipe: Recipe, fabric: Fabric, state: TrainingState, batch: Batch) -> float:
    """Run one training step, update the average of the weights, and return the loss."""
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(recipe, state.step)
    with fabric.autocast():
        developed = _developed(state.model, batch.packed, shared=recipe.shared_filters)
    loss = loss_of(developed, batch, recipe.loss)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise JobError(
            f"the loss is {value} at step {state.step}; resume with a lower learning rate"
        )
    state.optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    if recipe.optimiser.clip:
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), recipe.optimiser.clip)
    state.optimizer.step()
    state.step += 1
    with torch.no_grad():
        for name, parameter in state.model.named_parameters():
            state.average[name].lerp_(parameter, 1 - recipe.optimiser.average)
    return value


def _developed(model: nn.Module, packed: Tensor, *, shared: bool) -> Tensor:
    """Return the developed crops; shared filters are predicted from all crops side by side."""
    network: Any = model
    maps = packed.contiguous(memory_format=torch.channels_last)
    pictures: Tensor
    if shared:
        filters = network.predict_filters(torch.cat(tuple(packed), -1)[None])
        pictures = network.apply_filters(maps, filters)
    else:
        pictures = network(maps)
    return pictures


def _checkpoint(
    recipe: Recipe,
    folder: Path,
    fabric: Fabric,
    state: TrainingState,
    pictures: tuple[Mixture, Pictures],
) -> dict[str, float]:
    """Validate the averaged weights, write state and checkpoint; return PSNR by noise level."""
    model = build_model(recipe.model, recipe.options).to(fabric.device)
    model.load_state_dict(state.average)
    psnr = psnr_by_level(lambda x: model(x.to(fabric.device)), pictures[1], tuple(NOISE_LEVELS))
    options = options_of(recipe.model, recipe.options)
    save_state(folder / "state.safetensors", state, recipe.model_dump_json())
    save_checkpoint(
        folder / "checkpoint.safetensors",
        model=recipe.model,
        options=options,
        state=state.average,
        card=_card(recipe, pictures[0], psnr, state.step),
    )
    return psnr


def _card(recipe: Recipe, mixture: Mixture, psnr: dict[str, float], step: int) -> dict[str, object]:
    return {
        "name": recipe.name,
        "description": recipe.description,
        "input_space": "packed_bayer_white_balanced",
        "output_space": "camera_linear",
        "training_data": [
            f"{part.name} ({len(part.pictures)} pictures; {part.licence})" for part in mixture.parts
        ],
        "licence": recipe.licence,
        "noise": "variance a x + b^2 on normalised raw, a up to 2.5e-2",
        "metrics": {f"psnr_srgb_db_{level}": value for level, value in psnr.items()}
        | {"training_steps": float(step)},
    }
