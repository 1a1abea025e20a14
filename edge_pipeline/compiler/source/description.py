"""Descriptions of networks by their authors, checked and completed by running the network."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError
from torch import Tensor

from edge_pipeline.artifact.provenance import ModelCard
from edge_pipeline.artifact.schema import Schema, Space
from edge_pipeline.compiler.source.fixed_weights import Size, ratio_to
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.shapes import dtype_of
from edge_pipeline.compiler.source.size_probe import SizeProbe
from edge_pipeline.errors import InputError, first_fault
from edge_pipeline.models.network import Port

# Example values may exceed a stated range, which is the usual one, by this share of its width.
_SLACK = 0.25

__all__ = ["Description", "PortDescription", "described", "read_description"]


class PortDescription(Schema):
    """The description of an input or an output.

    `meaning` is a clause for the manifest, `space` the kind of values, and `range` their usual
    range. `name` renames an output; an input has the name of its parameter.
    """

    name: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    meaning: str = "not described"
    space: Space = "features"
    range: tuple[float, float] | None = None


class Description(Schema):
    """The description of a network by its author; missing fields are inferred.

    `inputs` are described by the names of parameters of `forward`, `outputs` in their order.
    `stride`, `halo`, `minimum` and `scale` define how a picture may be cut into tiles, in pixels of
    the first input: tile sizes and positions are multiples of `stride`, sizes are at least
    `minimum`, no output pixel depends on pixels further away than `halo`, and there are `scale`
    output pixels per input pixel along an axis.
    """

    card: ModelCard | None = None
    inputs: dict[str, PortDescription] = Field(default_factory=dict)
    outputs: tuple[PortDescription, ...] = ()
    stride: PositiveInt | None = None
    halo: NonNegativeInt | None = None
    minimum: PositiveInt | None = None
    scale: PositiveInt | None = None

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the stated ranges of inputs, by name."""
        return {name: text.range for name, text in self.inputs.items() if text.range is not None}


def read_description(path: Path) -> Description:
    """Read a description from a TOML file.

    Raises:
        InputError: If the file does not exist or is not TOML, or a field is wrong; the message
            names the field.
    """
    try:
        return Description.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"the description {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the description {path} is not TOML: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {': '.join(first_fault(error, 'the description'))}") from error


def described(
    network: SourceNetwork, stated: Description, *, free_sizes: bool = False
) -> SourceNetwork:
    """Check a description by running the network, and infer the missing fields.

    Args:
        network: Network with example inputs.
        stated: Description by its author.
        free_sizes: Whether the program's height and width stay free.

    Returns:
        The network with a complete geometry.

    Raises:
        InputError: If a field of the description is wrong; the message states the value found.
    """
    network.traced()  # first, since it says why a network cannot be compiled
    outputs = network.named_outputs(network.example)
    ports = _inputs(network, stated)
    geometry = replace(network.geometry, inputs=ports, outputs=_outputs(stated, outputs))
    if SizeProbe.fits(network):
        rows, columns = network.example[0].shape[2:]
        geometry = replace(geometry, default_size=(rows, columns))
        geometry = _tiles(SizeProbe(network), geometry, stated)
        if free_sizes:
            geometry = _freed(geometry, network.example, tuple(outputs.values()))
    elif free_sizes or {"stride", "halo", "minimum", "scale"} & stated.model_fields_set:
        first = network.example[0]
        given = f"{dtype_of(first)} {'x'.join(map(str, first.shape))}"
        raise InputError(
            f"the first input {ports[0].name} is {given}, and stride, "
            "halo, minimum, scale and free sizes are for a map 1xCxHxW of floats; leave them out"
        )
    card = stated.card or network.card
    described = replace(network, geometry=geometry, card=card)
    return described.sized(network.example, free_sizes=True) if free_sizes else described


def _inputs(network: SourceNetwork, stated: Description) -> tuple[Port, ...]:
    """Return the ports of the inputs, with the fields that the description states."""
    known = [port.name for port in network.geometry.inputs]
    for name in stated.inputs:
        if name not in known:
            raise InputError(
                f"the description has an input {name!r}; the network has {', '.join(known)}"
            )
    named = {name: text.model_copy(update={"name": name}) for name, text in stated.inputs.items()}
    return tuple(
        _port(port, named[port.name], value) if port.name in named else port
        for port, value in zip(network.geometry.inputs, network.example, strict=True)
    )


def _outputs(stated: Description, values: Mapping[str, Tensor]) -> tuple[Port, ...]:
    """Return the ports of the outputs, with the fields that the description states."""
    if stated.outputs and len(stated.outputs) != len(values):
        raise InputError(
            f"the description has {len(stated.outputs)} outputs; the network has {len(values)}"
        )
    texts = stated.outputs or (PortDescription(),) * len(values)
    return tuple(
        _port(Port.of_unknown(name, tuple(value.shape)), text, value)
        for text, (name, value) in zip(texts, values.items(), strict=True)
    )


def _port(port: Port, text: PortDescription, value: Tensor) -> Port:
    """Return the port with the stated fields; raise if they contradict its value on the example."""
    name = text.name or port.name
    if text.range is not None:
        low, high = text.range
        if not low < high:
            raise InputError(f"the description of {name} has an empty range {low:g} to {high:g}")
        least, most = float(value.min()), float(value.max())
        slack = (high - low) * _SLACK
        if least < low - slack or most > high + slack:
            raise InputError(
                f"the description gives {name} the range {low:g} to {high:g}; on the example its "
                f"values go from {least:.3g} to {most:.3g}"
            )
    return replace(port, name=name, meaning=text.meaning, space=text.space, range=text.range)


def _tiles(probe: SizeProbe, geometry: Geometry, stated: Description) -> Geometry:
    """Return `geometry` with stride, halo, minimum and scale as stated, or as measured."""
    if stated.scale not in (None, probe.scale):
        found = "no whole number of" if probe.scale is None else str(probe.scale)
        raise InputError(
            f"the description states a scale of {stated.scale}; the outputs have {found} pixels "
            "per pixel of the first input along an axis"
        )
    halo = _halo(probe, stated)
    stride = stated.stride or probe.stride(halo)
    if stride is None:  # outputs depend on the position in the picture
        halo, stride = None, probe.stride(None) or 1
    elif halo is not None:
        halo = -(-halo // stride) * stride
        _check_stride(probe, stride, halo, stated)
    return replace(
        geometry,
        scale=probe.scale or 1,
        halo=halo,
        stride=stride,
        minimum=stated.minimum or probe.minimum(stride),
    )


def _halo(probe: SizeProbe, stated: Description) -> int | None:
    if stated.halo is None:
        return probe.reach()
    stride = stated.stride or 1
    reach = probe.reach(2 * (stated.halo + stride) + 1, stride)
    if reach is None or reach > stated.halo:
        found = "the whole input" if reach is None else f"{reach} pixels around it"
        raise InputError(
            f"the description states a halo of {stated.halo}; an output pixel depends on {found}"
        )
    return stated.halo


def _check_stride(probe: SizeProbe, stride: int, halo: int, stated: Description) -> None:
    """Raise if a tile differs from the whole picture at the stated stride and halo."""
    difference = probe.difference(stride, halo)
    if probe.is_exact(stride, halo):
        return
    right = probe.stride(halo)
    advice = "leave out the halo" if right is None else f"the least that fits is {right}"
    problem = (
        "the network does not accept every multiple of it"
        if difference == float("inf")
        else f"a tile differs from the whole picture by {difference:.1%} of the output's span"
    )
    raise InputError(
        f"with the stride of {stride} and the halo of {halo} that the description states, "
        f"{problem}; {advice}"
    )


def _freed(geometry: Geometry, example: Sequence[Tensor], outputs: Sequence[Tensor]) -> Geometry:
    """Return `geometry` with ports whose sizes follow that of the first input."""
    size = (example[0].shape[2], example[0].shape[3])
    inputs = zip(geometry.inputs, example, strict=True)
    given = zip(geometry.outputs, outputs, strict=True)
    return replace(
        geometry,
        inputs=tuple(_following(port, value, size) for port, value in inputs),
        outputs=tuple(_following(port, value, size) for port, value in given),
        free_sizes=True,
    )


def _following(port: Port, value: Tensor, size: Size) -> Port:
    ratio = ratio_to(value, size)
    if ratio is None:
        return port
    times, per = ratio.numerator, ratio.denominator
    return replace(port, channels=value.shape[1], times=times, per=per, fixed=None)
