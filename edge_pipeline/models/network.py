"""The interface of a network: its inputs and outputs, supported sizes and fixed parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn

from edge_pipeline.errors import InputError

__all__ = ["Network", "Port", "Rescalable", "Trimmable", "check_fixed", "free_parameters"]


@dataclass(frozen=True)
class Port:
    """An input or output of a network: [N, channels, H * times / per, W * times / per].

    H and W are the height and width of the network's first input.

    Attributes:
        name: Name of the tensor in the manifest, such as `image`, `packed` or `logits`.
        channels: Number of channels.
        meaning: Clause that describes the tensor in the manifest.
        space: Kind of values, a member of `artifact.schema.Space`.
        range: Usual range of the values.
        times: Rows of this tensor per row of the first input.
        per: Rows of the first input per row of this tensor.
        fixed: Shape of a tensor that is not a map or does not follow the first input's size.
    """

    name: str
    channels: int
    meaning: str
    space: str
    range: tuple[float, float] | None = None
    times: int = 1
    per: int = 1
    fixed: tuple[int, ...] | None = None

    @classmethod
    def of_unknown(cls, name: str, shape: tuple[int, ...] | None = None) -> Port:
        """Return the port of a tensor of which only the name and perhaps the shape are known."""
        channels = shape[1] if shape is not None and len(shape) > 1 else 1
        return cls(name, channels, "not described", "features", fixed=shape)

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """Return the shape of one sample if the first input is `height` x `width`."""
        if self.fixed is not None:
            return self.fixed
        rows, columns = (side * self.times // self.per for side in (height, width))
        return 1, self.channels, rows, columns


class Network(Protocol):
    """The interface of a network that the compiler and the cost counter use.

    `forward` takes the inputs in order. The user sets its further parameters, such as a number
    that controls the cost, by `--fix NAME=VALUE`; `forward` receives them as Python values.

    Attributes:
        inputs: Inputs in call order; H and W of the first one are the network's size.
        outputs: Outputs in order; `forward` returns one output as a tensor, several as a tuple.
        stride: Number of which H and W must be multiples.
        min_size: Smallest supported H and W.
        halo: Distance, in pixels of the first input, up to which input pixels affect an output
            pixel; None if it is unlimited or depends on the size of the input.
        scale: Output pixels per pixel of the first input along an axis.
        default_size: Height and width to compile for if the user requests none.
        free_sizes: Whether one graph supports all sizes.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    stride: int
    min_size: int
    halo: int | None
    scale: int
    default_size: tuple[int, int]
    free_sizes: bool


@runtime_checkable
class Trimmable(Protocol):
    """A network that can leave out the part of its output that no tile keeps.

    Attributes:
        margin: Pixels of the input, at each edge, for which there is no output; 0 before `trim`.
    """

    margin: int

    def trim(self) -> None:
        """Leave out as much as the network can, at most its halo, from now on.

        The rest of the output does not change where it is at least `halo` from the input's edges.
        The smallest input grows, so `min_size` may change.

        Raises:
            InputError: If no part of the output can be left out.
        """
        ...


def free_parameters(module: nn.Module, fixed: Mapping[str, object]) -> list[inspect.Parameter]:
    """Return the parameters of a module's `forward` that have no fixed value, in order.

    Args:
        module: Any module.
        fixed: Fixed values by parameter name.

    Raises:
        InputError: If `forward` has no parameter of a name in `fixed`.
    """
    found = inspect.signature(module.forward).parameters
    for name in fixed:
        if name not in found:
            raise InputError(
                f"{type(module).__name__}.forward has no parameter {name!r} to fix; it has "
                f"{', '.join(found)}"
            )
    return [p for name, p in found.items() if name not in fixed]


def check_fixed(module: nn.Module, fixed: Mapping[str, object]) -> None:
    """Check that the parameters of `forward` without a fixed value are exactly its inputs.

    Args:
        module: Any module; a module without the attribute `inputs` has one input.
        fixed: Fixed values by parameter name.

    Raises:
        InputError: If a parameter that is not an input has no value, or an input has a fixed one.
    """
    name, stated = type(module).__name__, len(getattr(module, "inputs", (None,)))
    left = [p for p in free_parameters(module, fixed) if p.kind is not p.VAR_KEYWORD]
    if len(left) < stated and not any(p.kind is p.VAR_POSITIONAL for p in left):
        raise InputError(f"{', '.join(fixed)}: an input of {name} cannot be fixed; leave it out")
    for parameter in left[stated:]:
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL:
            missing = parameter.name
            raise InputError(
                f"{name}.forward requires {missing}, which has no value; give --fix {missing}=VALUE"
            )


@runtime_checkable
class Rescalable(Protocol):
    """A network whose output hardly depends on the input under its published initialisation."""

    def rescale_weights(self) -> None:
        """Rescale fresh weights so that the output depends on the input."""
        ...
