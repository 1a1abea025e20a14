"""Bisecting what `compile` would make of a source: the same programs, passes and backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from edge_pipeline.artifact.manifest import WeightsForm
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compare import Tolerance
from edge_pipeline.compiler.backends.base import Order, open_backend
from edge_pipeline.compiler.bisect.search import Finding, bisect
from edge_pipeline.compiler.pipeline import passes_for
from edge_pipeline.compiler.precision.samples import sample_inputs
from edge_pipeline.compiler.program import Pass
from edge_pipeline.compiler.source.forms import form_of
from edge_pipeline.compiler.source.opening import open_source
from edge_pipeline.compiler.source.reference import synthetic_inputs
from edge_pipeline.device_profile import DEFAULT_DEVICE
from edge_pipeline.errors import InputError
from edge_pipeline.runtime.base import runtime_named

__all__ = ["BisectRequest", "bisect_source"]


@dataclass(frozen=True)
class BisectRequest:
    """What to bisect; see `compile.CompileRequest` for what it has in common.

    Attributes:
        source: a checkpoint's path, or a registered network's name for fresh weights.
        backend: as in the registry.
        options: of a registered network.
        filters: `dynamic`, `folded`, `split` or `refolded`.
        fixed: values by name, for parameters of the network's `forward` that are no inputs.
        precision: of weights and arithmetic.
        calibration: captures or pictures for folding and for int8.
        size: height and width of the first input.
        seed: of fresh weights.
        allowed: operators that may stay outside the delegate.
        tolerance: largest relative error, in the place of the precision's own tolerance.
        device: by whose measured costs convolutions are lowered.
        passes: in the place of the backend's.
    """

    source: str | Path
    backend: str
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    filters: WeightsForm = "dynamic"
    fixed: Mapping[str, object] = field(default_factory=dict)
    precision: Precision = "fp32"
    calibration: tuple[Path, ...] = ()
    size: tuple[int, int] | None = None
    seed: int | None = None
    allowed: frozenset[str] = frozenset()
    tolerance: float | None = None
    device: str = DEFAULT_DEVICE
    passes: tuple[Pass, ...] | None = None


def bisect_source(
    request: BisectRequest, *, on_step: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[str, Finding | None]]:
    """For each program that the source would be compiled to, its name and what is found.

    Args:
        request: see BisectRequest.
        on_step: told in a few words what is being done.

    Raises:
        InputError: an option, size, capture or checkpoint cannot be used.
        MissingExtraError: the backend's packages are not installed.
        CompileError: the network cannot be compiled.
    """
    backend = open_backend(request.backend, request.precision, request.device)
    backend.require()
    if backend.checked() == "not_run":
        raise InputError(
            f"what is written for {request.backend} cannot be run here; bisect runs it"
        )
    on_step("building the network")
    network = open_source(request.source, request.options, request.seed, fixed=request.fixed)
    geometry = network.geometry
    free = backend.FREE_SIZES and geometry.free_sizes
    size = geometry.size(request.size, free=free)
    network = network.sized(synthetic_inputs(geometry, *size), free_sizes=free)
    on_step("tracing")
    form = form_of(network, request.filters, request.calibration)
    samples: list[tuple[Tensor, ...]] = []
    if request.precision == "int8":
        samples, _ = sample_inputs(geometry, size, request.calibration)
    bound = None if request.tolerance is None else Tolerance(max_rel=request.tolerance)
    passes = request.passes
    if passes is None:
        passes = passes_for(request.backend, request.device, request.precision)
    for entry in form.entries:
        order = Order(
            name=entry.name,
            inputs=tuple(role.name for role in entry.inputs),
            outputs=tuple(role.name for role in entry.outputs),
            precision=request.precision,
            samples=[form.inputs_of(entry, one) for one in samples],
            allowed=request.allowed,
        )
        found = bisect(
            entry.program,
            entry.example,
            passes,
            backend,
            order,
            runtime_named(request.backend).open_session,
            tolerance=bound,
            tell=_prefixed(entry.name, on_step),
        )
        yield entry.name, found


def _prefixed(name: str, on_step: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: on_step(f"{name}: {text}")
