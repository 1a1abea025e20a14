"""Build registered networks by name, from parsed options and a seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Protocol, cast, get_args, get_origin, get_type_hints

import torch
from torch import nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.network import Rescalable
from edge_pipeline.registry import MODELS

__all__ = ["ModelModule", "build_model", "fresh_model", "options_of", "parsed_options"]

Value = str | int | float | bool
_MAX_SEED = 2**63 - 1
# Upper limits of integer options: of a count of channels or layers, and of a picture's side.
_MOST, _LONGEST, _SIDES = 4096, 1 << 16, ("height", "width")
# Upper limit of a network's parameters: 2 GiB in float32.
_MOST_PARAMETERS = 1 << 29


class ModelModule(Protocol):
    """Interface of a network's module, which `registry.MODELS` lists.

    Attributes:
        Options: Frozen dataclass of numbers, booleans, strings and literals, each with a default.
    """

    Options: type[Any]

    def build(self, options: Any, /) -> nn.Module:
        """Return the network for `options`, a `models.network.Network`, with fresh weights."""
        ...


def _module(name: str) -> ModelModule:
    return cast(ModelModule, MODELS.load(name))


def build_model(
    name: str, options: Mapping[str, Value] | None = None, *, seed: int = 0
) -> nn.Module:
    """Return a registered network with fresh weights, in eval mode.

    Args:
        name: Name of the network in the registry.
        options: Some or all of the network's options; strings are parsed.
        seed: Seed of the weights, 0 to 2**63 - 1. Two builds with the same seed have the same
            weights. The state of torch's global generator does not change.

    Raises:
        UnknownNameError: If no network has this name.
        InputError: If an option does not exist or cannot have its value, if the seed is out of
            range, or if the network does not fit in memory.
    """
    if not 0 <= seed <= _MAX_SEED:
        raise InputError(f"the seed {seed} is out of range; give 0 to {_MAX_SEED}")
    module = _module(name)
    chosen = parsed_options(name, options or {})
    if torch.get_default_device().type != "meta":  # the meta device allocates no memory
        _check_parameters(name, module, chosen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = module.build(chosen)
        except RuntimeError as error:  # torch's error if memory or an integer overflows
            raise InputError(
                f"{name} with {_shown(chosen)} cannot be allocated on this machine; make it smaller"
            ) from error
    return model.eval()


def _check_parameters(name: str, module: ModelModule, chosen: Any) -> None:
    """Raise InputError if the network has too many parameters, before memory is allocated."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            count = sum(parameter.numel() for parameter in module.build(chosen).parameters())
        except RuntimeError:  # the size of a tensor overflows
            count = None
    if count is None or count > _MOST_PARAMETERS:
        found = "more parameters than can be counted" if count is None else f"{count} parameters"
        raise InputError(
            f"{name} with {_shown(chosen)} has {found}, and at most {_MOST_PARAMETERS} are "
            "supported; make it smaller"
        )


def _shown(chosen: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in dataclasses.asdict(chosen).items())


def fresh_model(
    name: str, options: Mapping[str, Value] | None = None, *, seed: int = 0
) -> nn.Module:
    """Return a registered network whose fresh weights make the output depend on the input.

    Use it to compile, measure or show an untrained network. Training starts from `build_model`,
    which keeps the published initialisation.

    Arguments and errors are those of `build_model`.
    """
    model = build_model(name, options, seed=seed)
    if isinstance(model, Rescalable):
        model.rescale_weights()
    return model


def options_of(name: str, options: Mapping[str, Value]) -> dict[str, Any]:
    """Return all options of a network, parsed and completed with defaults, ready for JSON.

    Args:
        name: Name of the network in the registry.
        options: Some or all of the network's options; strings are parsed.

    Raises:
        UnknownNameError: If no network has this name.
        InputError: If an option does not exist or cannot have its value.
    """
    return dataclasses.asdict(parsed_options(name, options))


def parsed_options(name: str, options: Mapping[str, Value]) -> Any:
    """Return the options of a network as an instance of its module's `Options`.

    Arguments and errors are those of `options_of`.
    """
    module = _module(name)
    hints = get_type_hints(module.Options)
    unknown = sorted(set(options) - set(hints))
    if unknown:
        raise InputError(f"{name} has no option {unknown[0]!r}; it has {', '.join(sorted(hints))}")
    typed = {key: _parse(key, value, hints[key]) for key, value in options.items()}
    return module.Options(**typed)


def _parse(key: str, value: Value, hint: Any) -> Value:
    """Return `value` converted to the type `hint`, or raise InputError."""
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
