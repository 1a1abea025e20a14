"""Measurement of probes on a device through the harness, and their costs."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path

from edge_pipeline.calibrate.grid import Layer, call_of
from edge_pipeline.calibrate.journal import Entry, Peak, Refused, Sample
from edge_pipeline.calibrate.probes import (
    CHAIN_BYTES,
    Chain,
    Probe,
    convolution_probe,
    write_probe,
)
from edge_pipeline.compiler.lowering.convolution import ConvPlan
from edge_pipeline.compiler.lowering.cost_model import CONSTANT, Call, CostSample
from edge_pipeline.errors import (
    CompileError,
    InputError,
    JobError,
    RuntimeFailure,
    VerificationError,
)
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.devices.base import Device
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.verification import require_passed
from edge_pipeline.record import Record

__all__ = ["PEAK_LAYER", "Bench"]

PEAK_LAYER: Layer = (64, 64, 3, 96)
"""The convolution whose speed is the peak."""
# The same for an emulated device, which takes long, and whose counts have no overhead to hide.
_EMULATED_PEAK_LAYER: Layer = (64, 64, 3, 24)

_CHAINS = (2, 18)
_AROUND = "around"
_FASTEST = 0.05


class Bench:
    """Writes probes of a backend and measures them on a device.

    Args:
        device: An idle device.
        settings: How programs are measured.
        on_step: Function that is called with a description of each step.
    """

    def __init__(self, device: Device, settings: Settings, on_step: Callable[[str], None]) -> None:
        self._device = device
        self._settings = settings
        self._on_step = on_step

    def layer(self, backend: str, layer: Layer, plans: list[ConvPlan]) -> list[Entry]:
        """Measure algorithms of a layer in turns with the program that lacks the layer.

        Returns:
            A sample or a refusal for each plan.

        Raises:
            InputError: If the device does not run artifacts of the backend.
            JobError: If the device cannot measure.
        """
        call = call_of(layer)
        probes = {_AROUND: convolution_probe(call, None)}
        probes |= {_name(plan): convolution_probe(call, plan) for plan in plans}
        records, reasons = self._measured(backend, probes)
        around = _required(records, reasons, _AROUND)
        entries: list[Entry] = []
        for plan in plans:
            record = records.get(_name(plan))
            if record is None:
                entries.append(
                    Refused(
                        backend=backend,
                        form=plan.algorithm,
                        strip_bytes=plan.strip_bytes,
                        layer=layer,
                        reason=reasons[_name(plan)],
                    )
                )
            else:
                entries.append(Sample(sample=_sample(backend, layer, plan, record, around)))
        return entries

    def peak(self, backend: str) -> Peak:
        """Measure the peak of arithmetic, and of copying unless the device is emulated.

        Raises:
            InputError: If the device does not run artifacts of the backend.
            JobError: If the device cannot measure, or the difference of the programs is not
                positive.
        """
        call = call_of(_EMULATED_PEAK_LAYER if self._device.emulated else PEAK_LAYER)
        few, many = _CHAINS
        probes = {
            _AROUND: convolution_probe(call, None),
            _name(CONSTANT): convolution_probe(call, CONSTANT),
        }
        if not self._device.emulated:
            probes |= {
                f"chain-{n}": Probe(f"a chain of {n} additions", Chain(n), Chain.example())
                for n in _CHAINS
            }
        records, reasons = self._measured(backend, probes)
        around = _required(records, reasons, _AROUND)
        layer = _required(records, reasons, _name(CONSTANT))
        per_gflop = _least(_difference(layer, around)) / (_flops(call) / 1e9)
        copied = None
        if not self._device.emulated:
            long = _required(records, reasons, f"chain-{many}")
            took_ms = _least(_difference(long, _required(records, reasons, f"chain-{few}")))
            copied = (many - few) * CHAIN_BYTES / took_ms / 1e6
        counted = around.instructions
        return Peak(
            backend=backend,
            least_per_gflop=per_gflop,
            copy_gb_s=copied,
            versions=layer.versions,
            instructions="" if counted is None else counted.method,
        )

    def _measured(
        self, backend: str, probes: Mapping[str, Probe]
    ) -> tuple[dict[str, Record], dict[str, str]]:
        """Return the record of each program, or the reason why it has none, by name."""
        reasons: dict[str, str] = {}

        def refused(job: Job, reason: str) -> None:
            reasons[job.artifact.folder.name] = reason

        with tempfile.TemporaryDirectory(prefix="edge_pipeline-") as parent:
            folders = {}
            for name, probe in probes.items():
                self._on_step(f"compiling {probe.label} for {backend}")
                try:
                    write_probe(Path(parent, name), backend, probe)
                except (CompileError, RuntimeFailure, VerificationError) as error:
                    reasons[name] = str(error).replace(f"{parent}/", "")
                else:
                    folders[Path(parent, name)] = name
            done = bench(
                list(folders),
                self._device,
                self._settings,
                on_step=lambda text: self._on_step(text.replace(f"{parent}/", f"{backend} ")),
                on_refused=refused,
            )
        records = {}
        for record in done:
            name = Path(record.artifact).name
            try:
                require_passed(name, record.verification)
            except JobError as error:
                reasons[name] = str(error)
            else:
                records[name] = record
        return records, reasons


def _name(plan: ConvPlan) -> str:
    return f"{plan.algorithm}-{plan.strip_bytes}"


def _required(records: Mapping[str, Record], reasons: Mapping[str, str], name: str) -> Record:
    if name not in records:
        raise InputError(reasons.get(name, f"the device did not measure {name}"))
    return records[name]


def _sample(
    backend: str, layer: Layer, plan: ConvPlan, record: Record, around: Record
) -> CostSample:
    call, costs = call_of(layer), _difference(record, around)
    is_time = record.instructions is None
    return CostSample(
        backend=backend,
        form=plan.algorithm,
        strip_bytes=plan.strip_bytes,
        size=call.size,
        weight=call.weight,
        ms=tuple(round(value, 4) for value in costs) if is_time else (),
        instructions=() if is_time else tuple(round(1e6 * value) for value in costs),
    )


def _difference(record: Record, around: Record) -> list[float]:
    """Return the cost of each round without that of another program.

    The unit is a millisecond, or a million instructions.
    """
    if record.instructions is not None and around.instructions is not None:
        rest = around.instructions.median
        return [(count - rest) / 1e6 for count in record.instructions.samples]
    pairs = zip(record.samples_ms, around.samples_ms, strict=True)
    found = [first - second for first, second in pairs]
    if not found:
        raise JobError(f"the device returned neither times nor instructions of {record.artifact}")
    return found


def _least(costs: list[float]) -> float:
    """Return the 5th percentile of positive costs.

    Raises:
        JobError: If it is not positive, because the device is too busy.
    """
    ordered = sorted(cost for cost in costs if cost > 0)
    if statistics.median(costs) <= 0:
        raise JobError(
            "the longer program of a pair was not slower, so no peak can be computed; measure "
            "again while the device does nothing else"
        )
    return ordered[int(_FASTEST * len(ordered))]


def _flops(call: Call) -> int:
    """Return the operations of a convolution that keeps the size of its map."""
    return 2 * prod(call.weight) * prod(call.size)
