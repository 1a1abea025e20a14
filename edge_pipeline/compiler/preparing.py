"""Prepare the programs of a request for building; both `compile` and `bisect` use this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from edge_pipeline.artifact.provenance import Calibration
from edge_pipeline.compiler.backends.base import Backend, EmitOptions
from edge_pipeline.compiler.precision.like_example import samples_like
from edge_pipeline.compiler.precision.samples import listed_files, sample_inputs
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.compiler.source.description import Description, described
from edge_pipeline.compiler.source.entries import Entry
from edge_pipeline.compiler.source.forms import Form, form_of
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.opening import open_source
from edge_pipeline.compiler.source.reference import synthetic_inputs
from edge_pipeline.device_profile import load_profile
from edge_pipeline.errors import InputError
from edge_pipeline.models.network import Trimmable

__all__ = ["Prepared", "open_network", "prepared", "with_listed_files"]

Samples = list[tuple[Tensor, ...]]


@dataclass(frozen=True)
class Prepared:
    """The programs of a deployment form, and the options to write them.

    Attributes:
        network: Network with example inputs.
        form: Programs of the deployment form.
        samples: Inputs of the network on which ranges are observed for int8; else empty.
        observed: Record of the samples for the manifest; None if there are none.
        options: Options of the backend, without names and samples, which each program sets.
        nearer: Samples closer to the user's example, with their record; None if `samples` do not
            come from an example.
    """

    network: SourceNetwork
    form: Form
    samples: Samples
    observed: Calibration | None
    options: EmitOptions
    nearer: tuple[Samples, Calibration] | None = None

    def options_of(self, entry: Entry) -> EmitOptions:
        """Return the options of the backend for one of the programs."""
        return replace(
            self.options,
            name=entry.name,
            inputs=tuple(role.name for role in entry.inputs),
            outputs=tuple(role.name for role in entry.outputs),
            samples=[self.form.inputs_of(entry, one) for one in self.samples],
        )


def with_listed_files(request: CompileRequest) -> CompileRequest:
    """Return the request with its folders of captures or pictures replaced by their files."""
    return replace(
        request,
        calibration=listed_files(request.calibration),
        validation=listed_files(request.validation),
    )


def open_network(request: CompileRequest) -> SourceNetwork:
    """Open the request's network.

    Raises:
        InputError: If an option, a checkpoint, a file of weights or a factory cannot be used.
    """
    network = open_source(
        request.source,
        request.options,
        request.seed,
        inputs=request.inputs,
        weights=request.weights,
        fixed={**request.fixed, **{name: values[-1] for name, values in request.several.items()}},
        description=request.description,
    )
    return _trimmed(network) if request.trimmed else network


def _trimmed(network: SourceNetwork) -> SourceNetwork:
    """Return a network without the part of its output that no tile keeps; its module changes."""
    module = network.module
    if not isinstance(module, Trimmable):
        raise InputError(
            f"{network.source.model} computes its whole output at once, so no part of it can be "
            "left out; leave out --trimmed"
        )
    module.trim()
    return replace(network, geometry=Geometry.of(network.module))


def prepared(
    network: SourceNetwork,
    request: CompileRequest,
    backend: Backend,
    *,
    every: bool = True,
    on_step: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Trace a network and cut it into the programs of the requested deployment form.

    Args:
        network: Network with example inputs, or with a geometry that determines them.
        request: Request to compile; its source and its output are ignored.
        backend: Module of the request's backend.
        every: Whether a respecialisable program may serve every value of the fixed number.
        on_step: Function that is called with a short description of each step.

    Raises:
        NotEveryValue: If the programs for other values differ; not if `every` is false.
        InputError: If a size, a capture or a deployment form cannot be used.
        CompileError: If the network cannot be traced or cut.
    """
    free = backend.FREE_SIZES and network.geometry.free_sizes
    size = network.geometry.size(request.size, free=free)
    given = network.example
    if network.example:
        _check_files(request, network)
        on_step("probing")
        stated = request.description or Description()
        network = described(network, stated, free_sizes=request.free_sizes)
    else:
        network = network.sized(synthetic_inputs(network.geometry, *size), free_sizes=free)
    on_step("tracing")
    form = form_of(
        network,
        request.filters,
        request.calibration,
        request.window,
        respecialisable=request.respecialisable,
        every=every and getattr(backend, "MOVABLE", False),
        streamed=request.streamed,
    )
    samples, observed = _samples(request, network.geometry, size, given)
    arch = load_profile(request.target).identity.arch
    options = EmitOptions("", (), (), request.precision, allowed=request.allowed, arch=arch)
    alike = request.precision == "int8" and given and not request.calibration
    nearer = samples_like(given, scaled=False) if alike else None
    return Prepared(network, form, samples, observed, options, nearer)


def _check_files(request: CompileRequest, network: SourceNetwork) -> None:
    """Raise InputError if captures or pictures are given for inputs that are not floats."""
    given = (*request.calibration, *request.validation)
    ports = zip(network.geometry.inputs, network.example, strict=True)
    whole = [port.name for port, value in ports if not value.is_floating_point()]
    if given and whole:
        raise InputError(
            f"{given[0]} is read as float32, and the input {whole[0]} has integers; leave out "
            "--calibration and --validation"
        )


def _samples(
    request: CompileRequest, geometry: Geometry, size: tuple[int, int], given: Sequence[Tensor]
) -> tuple[Samples, Calibration | None]:
    """Return the samples for int8, similar to the user's example if given; none otherwise."""
    if request.precision == "int8" and given and not request.calibration:
        return samples_like(given)
    if request.precision == "int8":
        return sample_inputs(geometry, size, request.calibration)
    if request.calibration and request.filters not in ("folded", "refolded"):
        raise InputError(
            f"--filters {request.filters} in {request.precision} needs no calibration; leave it out"
        )
    return [], None
