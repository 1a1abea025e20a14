"""Open the network to compile: a checkpoint, a registered network, or a user's own code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge_pipeline.artifact.provenance import ModelCard, Source
from edge_pipeline.compiler.source.description import Description
from edge_pipeline.compiler.source.foreign import open_factory
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.naming import InputShape, is_factory
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.errors import CheckpointError, InputError, first_fault
from edge_pipeline.models.base import fresh_model, options_of
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.models.network import check_fixed
from edge_pipeline.registry import MODELS

__all__ = ["open_source"]


def open_source(
    source: str | Path,
    options: Mapping[str, str | int | float | bool] | None = None,
    seed: int | None = None,
    *,
    inputs: Mapping[str, InputShape] | None = None,
    weights: Path | None = None,
    fixed: Mapping[str, object] | None = None,
    description: Description | None = None,
) -> SourceNetwork:
    """Open the source that is given to `compile` or `bisect`.

    Args:
        source: Path of a checkpoint, name of a registered network for fresh weights, or
            `package.module:factory`.
        options: Options of a registered network; a checkpoint contains its own.
        seed: Seed of fresh weights; 0 if None.
        inputs: For a factory's network, input shapes by name.
        weights: For a factory's network, file of its weights.
        fixed: Values by name, for parameters of the network's `forward` that become constants.
        description: For a factory's network, description by its author.

    Raises:
        InputError: If the source does not exist, or does not support the other arguments.
        CheckpointError: If weights are damaged or belong to another network, or a card is not
            valid.
    """
    name, options = str(source), options or {}
    if is_factory(name):
        if options:
            raise InputError(f"{name} has no option {next(iter(options))}; leave out -s")
        ranges = {} if description is None else description.ranges()
        return open_factory(
            name, inputs or {}, weights=weights, fixed=fixed, ranges=ranges, seed=seed or 0
        )
    if inputs or weights is not None or description is not None:
        raise InputError(
            "named inputs, weights and a description can only be given with "
            f"package.module:factory, which {name} is not; leave them out"
        )
    network = _described(source, options, seed)
    check_fixed(network.module, fixed or {})
    return network.with_fixed(fixed or {})


def _described(
    source: str | Path, options: Mapping[str, str | int | float | bool], seed: int | None
) -> SourceNetwork:
    """Open a registered network with fresh weights, or a checkpoint."""
    name = str(source)
    if name in MODELS:
        return _fresh(name, options, seed or 0)
    path = Path(source)
    if path.suffix != ".safetensors" and not path.exists():
        raise InputError(
            f"{name!r} is neither a checkpoint (.safetensors) nor a registered network; "
            f"the networks are {', '.join(MODELS.names())}"
        )
    if options or seed is not None:
        load_checkpoint(path)
        superfluous = "a seed" if seed is not None else f"the option {next(iter(options))}"
        raise InputError(f"{path} contains its weights and options; leave out {superfluous}")
    return _trained(path)


def _fresh(name: str, options: Mapping[str, str | int | float | bool], seed: int) -> SourceNetwork:
    complete = options_of(name, options)
    network: Any = fresh_model(name, complete, seed=seed)
    card = ModelCard(
        name=name,
        description=f"Untrained: fresh weights from seed {seed}. Its outputs are meaningless.",
        input_space=network.inputs[0].space,
        output_space=network.outputs[0].space,
        training_data=(),
        licence="none: not trained",
    )
    source = Source(model=name, options=complete, seed=seed)
    return SourceNetwork(network, Geometry.of(network), source, card)


def _trained(path: Path) -> SourceNetwork:
    checkpoint = load_checkpoint(path)
    try:
        network = checkpoint.build()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    try:
        card = ModelCard.model_validate(checkpoint.card)
    except ValidationError as error:
        where, reason = first_fault(error, "the top")
        raise CheckpointError(f"{path} has a wrong model card at {where}: {reason}") from error
    source = Source(
        model=checkpoint.model, options=checkpoint.options, checkpoint_sha256=checkpoint.sha256
    )
    return SourceNetwork(network, Geometry.of(network), source, card)
