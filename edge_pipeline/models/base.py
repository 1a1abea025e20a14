"""Networks by name: parse options, build with a seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Protocol, cast, get_args, get_origin, get_type_hints

import torch
from torch import nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.network import Rescalable
from edge_pipeline.registry import MODELS

__all__ = ["ModelModule", "build_model", "fresh_model", "options_of"]

Value = str | int | float | bool
_MAX_SEED = 2**63 - 1
# Whole numbers count channels and layers, except the sides of a picture.
_MOST, _LONGEST, _SIDES = 4096, 1 << 16, ("height", "width")
# 2 GiB in float32.
_MOST_PARAMETERS = 1 << 29


class ModelModule(Protocol):
    """A module of this folder, listed in `registry.MODELS`.

    Attributes:
        Options: a frozen dataclass of numbers, booleans and literals, each with a default.
    """

    Options: type[Any]

    def build(self, options: Any, /) -> nn.Module:
        """The network for `options`, a `models.network.Network`, with fresh weights."""
        ...


def _module(name: str) -> ModelModule:
    return cast(ModelModule, MODELS.load(name))


def build_model(
    name: str, options: Mapping[str, Value] | None = None, *, seed: int = 0
) -> nn.Module:
    """A registered network with fresh weights, in eval mode.

    Args:
        name: as in the registry.
        options: some or all of the network's options; strings are parsed.
        seed: two builds with the same seed have the same weights; torch's own generator is left
            as it was. From 0 to 2**63 - 1.

    Raises:
        UnknownNameError: no such network.
        InputError: no such option, a value that it cannot take, a seed out of range, or a network
            that does not fit in memory.
    """
    if not 0 <= seed <= _MAX_SEED:
        raise InputError(f"the seed {seed} is out of range; give 0 to {_MAX_SEED}")
    module = _module(name)
    chosen = module.Options(**options_of(name, options or {}))
    if torch.get_default_device().type != "meta":  # on which networks are only counted
        _check_parameters(name, module, chosen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = module.build(chosen)
        except RuntimeError as error:  # what torch raises where memory, or a count, runs out
            raise InputError(
                f"{name} with {_shown(chosen)} cannot be allocated on this machine; make it smaller"
            ) from error
    return model.eval()


def _check_parameters(name: str, module: ModelModule, chosen: Any) -> None:
    """Refuse a network that would fill the memory, before it does."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            count = sum(parameter.numel() for parameter in module.build(chosen).parameters())
        except RuntimeError:  # a tensor whose size overflows
            count = None
    if count is None or count > _MOST_PARAMETERS:
        found = "more parameters than can be counted" if count is None else f"{count} parameters"
        raise InputError(
            f"{name} with {_shown(chosen)} has {found}, and at most {_MOST_PARAMETERS} are taken; "
            "make it smaller"
        )


def _shown(chosen: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in dataclasses.asdict(chosen).items())


def fresh_model(
    name: str, options: Mapping[str, Value] | None = None, *, seed: int = 0
) -> nn.Module:
    """As `build_model`, with weights with which the output depends on the input.

    For what is compiled, measured or shown without training; training begins with `build_model`,
    whose weights are the published initialisation.

    Args and errors are those of `build_model`.
    """
    model = build_model(name, options, seed=seed)
    if isinstance(model, Rescalable):
        model.let_through()
    return model


def options_of(name: str, options: Mapping[str, Value]) -> dict[str, Any]:
    """All options of a network, with types and defaults filled in; ready for JSON.

    Args:
        name: as in the registry.
        options: some or all of the network's options; strings are parsed.

    Raises:
        UnknownNameError: no such network.
        InputError: no such option, or a value that it cannot take.
    """
    module = _module(name)
    hints = get_type_hints(module.Options)
    unknown = sorted(set(options) - set(hints))
    if unknown:
        raise InputError(f"{name} has no option {unknown[0]!r}; it has {', '.join(sorted(hints))}")
    typed = {key: _parse(key, value, hints[key]) for key, value in options.items()}
    return dataclasses.asdict(module.Options(**typed))


def _parse(key: str, value: Value, hint: Any) -> Value:
    """`value` as the type that `hint` says, or an InputError."""
    if get_origin(hint) is Literal:
        allowed = get_args(hint)
        if value not in allowed:
            raise InputError(f"{key}={value} must be one of {', '.join(map(str, allowed))}")
        return value
    text = str(value).lower()
    if hint is bool:
        if text not in ("true", "false"):
            raise InputError(f"{key}={value} must be true or false")
        return text == "true"
    try:
        parsed: Value = hint(text)
    except ValueError as error:
        kind = {int: "a whole number", float: "a number"}[hint]
        raise InputError(f"{key}={value} must be {kind}") from error
    most = _LONGEST if key in _SIDES else _MOST
    if hint is int and int(parsed) > most:
        raise InputError(f"{key}={value} is out of range; give a whole number up to {most}")
    return parsed
