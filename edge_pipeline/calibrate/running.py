"""Calibration of a device, which continues where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from edge_pipeline.calibrate.fitting import fitted, order_of
from edge_pipeline.calibrate.grid import LAYERS, Layer, layer_of, plans_of_layer
from edge_pipeline.calibrate.journal import Entry, Journal, Machine, Peak
from edge_pipeline.calibrate.measuring import PEAK_LAYER, Bench
from edge_pipeline.calibrate.result import Result
from edge_pipeline.calibrate.writing import costs_path, profile_of, write_profile
from edge_pipeline.compiler.backends.base import Backend
from edge_pipeline.compiler.lowering.convolution import ConvPlan
from edge_pipeline.compiler.lowering.cost_model import Costs
from edge_pipeline.device_profile import Peaks
from edge_pipeline.errors import InputError, JobError, MissingExtraError, OutputError
from edge_pipeline.files import check_outside_artifacts
from edge_pipeline.harness.bench import Settings
from edge_pipeline.harness.devices.base import Device, Placement
from edge_pipeline.harness.gate import Gate
from edge_pipeline.harness.protocol import Plan
from edge_pipeline.registry import BACKENDS

__all__ = ["BACKENDS_OF_COSTS", "Request", "calibrate"]

BACKENDS_OF_COSTS = ("executorch", "litert", "onnx")
"""Backends with costs; ONNX Runtime's show that it needs no other algorithm than its own."""

# Programs that take turns, beside the one without the layer.
_GROUP = 7
_PLAN = Plan(runs=30, seconds=0, warmup=5)


@dataclass(frozen=True)
class Request:
    """A calibration.

    Attributes:
        device: Name of the device.
        address: Kind of the device, and its address.
        output: File of the profile.
        backends: Backends to measure; empty for all that are installed and that the device runs.
        layers: Layers to measure.
        cores: Processors to pin to, as in `Placement`.
        gate: Conditions of each measurement.
        force: Whether an existing profile may be replaced.
    """

    device: str
    address: tuple[str, str]
    output: Path
    backends: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = LAYERS
    cores: str | None = None
    gate: Gate = field(default_factory=Gate)
    force: bool = False

    @property
    def journal(self) -> Path:
        """File of the measurements of an unfinished calibration."""
        return self.output.with_name(f"{self.output.stem}.samples.jsonl")


def calibrate(
    request: Request,
    device: Device,
    on_step: Callable[[str], None] = lambda _step: None,
    on_done: Callable[[str], None] = lambda _line: None,
) -> Result:
    """Measure what is not measured yet, fit the models, and write the profile and its costs.

    Args:
        request: The calibration.
        device: The idle device.
        on_step: Function that is called with a description of each step.
        on_done: Function that is called with a line on each finished layer or skipped backend.

    Raises:
        InputError: If the device runs none of the backends, or the measurements in the journal are
            those of another device.
        OutputError: If the profile exists, or a file cannot be written.
        MissingExtraError: If a package is not installed.
        JobError: If the device cannot measure; what was measured before is kept.
    """
    for path in (request.output, costs_path(request.output)):
        check_outside_artifacts(path)
        if path.exists() and not request.force:
            raise OutputError(f"{path} exists; give --force to replace it, or another name")
    journal = Journal(request.journal)
    known = journal.machine
    if known is not None and known.device != request.device:
        raise InputError(
            f"{journal.path} has measurements of {known.device}, not of {request.device}; give "
            "another -o, or remove it"
        )
    with journal.locked():
        run = _Run(request, device, journal, on_step, on_done)
        run.measure()
        result = run.write()
        journal.path.unlink(missing_ok=True)
    return result


class _Run:
    """State of a running calibration."""

    def __init__(
        self,
        request: Request,
        device: Device,
        journal: Journal,
        on_step: Callable[[str], None],
        on_done: Callable[[str], None],
    ) -> None:
        self._request = request
        self._journal = journal
        self._on_step = on_step
        self._on_done = on_done
        self._skipped: dict[str, str] = {}
        self._tools: dict[str, dict[str, str]] = {}
        settings = Settings(_PLAN, request.gate, Placement(1, request.cores), memory=False)
        self._bench = Bench(device, settings, self._step)
        self._describe(device)
        self._where = ""
        self._is_emulated = device.emulated

    def measure(self) -> None:
        """Measure the peaks and all layers of each backend."""
        backends = self._request.backends or BACKENDS_OF_COSTS
        for index, backend in enumerate(backends):
            self._where = f"backend {index + 1} of {len(backends)}: "
            try:
                self._tools[backend] = cast(Backend, BACKENDS.load(backend)).require()
                self._peak(backend)
                self._layers(backend)
            except InputError as error:
                if self._request.backends:
                    raise
                self._skipped[backend] = str(error)
                self._on_done(f"{backend}: left out, because {error}")
        if not self._journal.samples:
            reasons = "; ".join(f"{name}: {why}" for name, why in self._skipped.items())
            kind = MissingExtraError if not self._tools else InputError
            raise kind(f"{self._request.device} can measure no backend: {reasons}")

    def write(self) -> Result:
        """Fit the models, and write the profile and its costs."""
        self._on_step("fitting")
        journal, request = self._journal, self._request
        machine, peaks = self._machine, journal.peaks
        # Rounded as it is written, so that a later fit gives the same models.
        least = float(f"{min(peak.least_per_gflop for peak in peaks.values()):.6g}")
        models = {}
        for name, peak in peaks.items():
            own = [s for s in journal.samples if s.backend == name]
            if own:
                models[name] = fitted(own, least, self._tools.get(name, {}) | peak.versions)
        costs = Costs(
            device=request.output.stem,
            least_per_gflop=least,
            backends=models,
            samples=tuple(sorted(journal.samples, key=order_of)),
        )
        speed = None if self._is_emulated else _peaks(peaks, machine)
        name, runtimes = request.output.stem, tuple(sorted(models))
        method = "; ".join(dict.fromkeys(filter(None, (p.instructions for p in peaks.values()))))
        profile = profile_of(name, request.address, machine, runtimes, speed, method)
        write_profile(request.output, profile, costs)
        refused = tuple(
            f"{r.backend}, {r.form} of {'x'.join(map(str, r.layer))}: {r.reason}"
            for r in journal.refused
        )
        return Result(models, speed, len(journal.samples), refused)

    def _peak(self, backend: str) -> None:
        if backend in self._journal.peaks:
            return
        peak = self._bench.peak(backend)
        self._keep([peak])
        self._on_done(f"{backend}: {_speed(peak, emulated=self._is_emulated)}")

    def _layers(self, backend: str) -> None:
        layers = self._request.layers
        before = self._where
        for index, layer in enumerate(layers):
            left = self._left(backend, layer)
            self._where = f"{before}layer {index + 1} of {len(layers)}: "
            for start in range(0, len(left), _GROUP):
                group = left[start : start + _GROUP]
                self._keep(self._bench.layer(backend, layer, group))
            if left:
                n_out, n_in, kernel, side = layer
                self._on_done(
                    f"{backend}: layer {index + 1} of {len(layers)}, {n_in} -> {n_out}, "
                    f"{kernel}x{kernel} on {side}x{side}, {len(left)} algorithms"
                )

    def _left(self, backend: str, layer: Layer) -> list[ConvPlan]:
        """Return the plans of a layer that have neither a sample nor a refusal."""
        done = {
            (s.form, s.strip_bytes)
            for s in self._journal.samples
            if s.backend == backend and layer_of(s) == layer
        } | {
            (r.form, r.strip_bytes)
            for r in self._journal.refused
            if r.backend == backend and r.layer == layer
        }
        plans = plans_of_layer(layer)
        return [plan for plan in plans if (plan.algorithm, plan.strip_bytes) not in done]

    def _describe(self, device: Device) -> None:
        """Keep the description of the machine, or compare it with that of earlier measurements."""
        device.acquire(Placement(1, self._request.cores))
        try:
            now = device.describe()
        finally:
            device.release()
        known = self._journal.machine
        if known is None:
            self._machine = Machine(
                device=self._request.device, emulated=device.emulated, environment=now
            )
            return
        self._machine, then = known, known.environment
        if (then.system_name, then.host_processor_model_name) != (
            now.system_name,
            now.host_processor_model_name,
        ):
            raise JobError(
                f"{self._journal.path} has measurements of {then.system_name} "
                f"({then.host_processor_model_name}), and the device is now {now.system_name} "
                f"({now.host_processor_model_name}); remove the file to start again"
            )

    def _keep(self, entries: Sequence[Entry]) -> None:
        """Write entries; the first ones follow the description of the machine."""
        first = [] if self._journal.machine else [self._machine]
        self._journal.append([*first, *entries])

    def _step(self, text: str) -> None:
        self._on_step(self._where + text)


def _speed(peak: Peak, *, emulated: bool) -> str:
    if emulated or peak.copy_gb_s is None:
        return f"at least {peak.least_per_gflop:.4g} million instructions per GFLOP"
    return f"{1e3 / peak.least_per_gflop:.4g} GFLOP/s, copies {peak.copy_gb_s:.3g} GB/s"


def _peaks(peaks: dict[str, Peak], machine: Machine) -> Peaks:
    """Return the highest speeds over all runtimes."""
    fastest = min(peaks.values(), key=lambda peak: peak.least_per_gflop)
    copied = {name: peak.copy_gb_s for name, peak in peaks.items() if peak.copy_gb_s is not None}
    widest = max(copied, key=copied.__getitem__)
    n_out, n_in, kernel, side = PEAK_LAYER
    load = machine.environment.load_average_1min
    state = "" if load is None else f"; load average {load:.1f}"
    return Peaks(
        gflops=float(f"{1e3 / fastest.least_per_gflop:.4g}"),
        copy_gb_s=float(f"{copied[widest]:.4g}"),
        how=(
            f"edge-pipeline calibrate-device on {datetime.now(UTC):%Y-%m-%d}, one thread, 5th "
            f"percentile of 30 rounds: a {n_in} -> {n_out} {kernel}x{kernel} convolution on "
            f"{side}x{side} in {fastest.backend}; additions to a map of 64 MiB in {widest}{state}"
        ),
    )
