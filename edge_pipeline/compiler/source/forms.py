"""The deployment forms of a network: their programs, and how to run them eagerly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edge_pipeline.artifact.manifest import WeightsForm
from edge_pipeline.artifact.provenance import Calibration
from edge_pipeline.artifact.weight_curve import WeightCurve
from edge_pipeline.compiler.passes.fold_batch_norm import FoldBatchNorm
from edge_pipeline.compiler.precision.calibrate import calibrated_filters
from edge_pipeline.compiler.source import entries
from edge_pipeline.compiler.source.curve import Found, curve_of
from edge_pipeline.compiler.source.entries import Entry, windowed
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.streaming import StageEntries, stage_entries
from edge_pipeline.compiler.source.tabulate import NotEveryValue
from edge_pipeline.errors import InputError
from edge_pipeline.raw.windows import VIEW

__all__ = ["Form", "form_of"]


@dataclass(frozen=True)
class Form:
    """A network in one deployment form.

    Attributes:
        filters: Name of the deployment form.
        entries: Programs, in the manifest's order.
        ports: Names of the network's inputs, in order; required for a separate predictor.
        calibration: Captures on which folded filters were predicted.
        window: Largest side of the part of each map that a separate predictor sees.
        path: For a refolded network, the path with filters as inputs. It is not built, but computes
            the output of the folded program with each input's own filters.
        curve: Weights for other values of the fixed input, if they are to be exchanged.
        stages: Programs of a predictor that sees a picture tile by tile, if requested.
        anchor: If one program serves every value of the fixed input, the program from which those
            for all values are made, and its value.
        notes: Notes for the manifest, one sentence each.
    """

    filters: WeightsForm
    entries: tuple[Entry, ...]
    ports: tuple[str, ...] = ()
    calibration: Calibration | None = None
    window: int = VIEW
    curve: WeightCurve | None = None
    path: Entry | None = None
    stages: tuple[StageEntries, ...] = ()
    anchor: tuple[float, Entry] | None = None
    notes: tuple[str, ...] = ()

    def run(self, inputs: tuple[Tensor, ...]) -> NDArray[np.float32]:
        """Return the network's first output, eagerly and in fp32."""
        path = self.path or self.entries[-1]
        output: NDArray[np.float32] = path.run(self.inputs_of(path, inputs))[0].numpy()
        return output

    def inputs_of(self, entry: Entry, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the inputs of one of the programs for given inputs of the network.

        Args:
            entry: The program; a predictor sees the top left window of each map.
            inputs: Inputs of the network, in order.
        """
        if entry.name.startswith("forward"):
            return inputs
        predictor = self.entries[0]
        named = dict(zip(self.ports, inputs, strict=True))
        seen = tuple(windowed(named[role.name], self.window) for role in predictor.inputs)
        if entry.name == "predict_filters":
            return seen
        own = tuple(named[role.name] for role in entry.inputs if role.name in named)
        return (*own, *predictor.run(seen))


def form_of(
    network: SourceNetwork,
    filters: WeightsForm,
    calibration: Sequence[Path],
    window: int = VIEW,
    *,
    respecialisable: bool = False,
    every: bool = False,
    streamed: bool = False,
) -> Form:
    """Trace the programs of a deployment form.

    Args:
        network: Network with example inputs.
        filters: `dynamic`, `folded`, `split` or `refolded`; a `dynamic` network whose fixed values
            determine weights becomes `specialised`.
        calibration: Captures for `folded` and `refolded`; the project's own set if empty.
        window: Largest side of the part of each map that a separate predictor sees.
        respecialisable: Whether the weights for other values of the fixed input are computed too.
        every: Whether these are all values of the trained range, if one program can serve them.
        streamed: Whether a predictor that sees a picture tile by tile is built too.

    Raises:
        InputError: If the network cannot be compiled in that form.
        CaptureError: If a capture cannot be read.
        CompileError: If torch cannot trace the network.
    """
    if respecialisable and filters != "dynamic":
        raise InputError(
            f"--respecialisable cannot be combined with --filters {filters}; leave out one of them"
        )
    if streamed and filters not in ("split", "refolded"):
        raise InputError(
            f"--streamed cannot be combined with --filters {filters}; give split or refolded"
        )
    if filters == "dynamic":
        found = curve_of(network, every=every) if respecialisable else None
        if found is not None:
            return _respecialisable(network, found)
        entry = entries.dynamic(network)
        return Form("specialised" if entry.weights else "dynamic", (entry,))
    # Before the cut: so the predictor scales its weights, and no later pass changes a filter.
    network = network.after(FoldBatchNorm())
    ports = tuple(port.name for port in network.geometry.inputs)
    stages = stage_entries(network) if streamed else ()
    if filters == "split":
        return Form("split", entries.split(network, window), ports, window=window, stages=stages)
    constants, record = calibrated_filters(network, calibration)
    folded = entries.folded(network, constants)
    if filters == "folded":
        return Form("folded", (folded,), calibration=record)
    predictor, path = entries.split(network, window)
    return Form("refolded", (predictor, folded), ports, record, window, path=path, stages=stages)


def _respecialisable(network: SourceNetwork, found: Found) -> Form:
    """Return the form of a network whose fixed number can be changed later."""
    curve, sizes = found.curve, found.tabulated
    entry = entries.dynamic(network, curve)
    anchor = None
    if sizes is not None:
        fixed = {**network.fixed, curve.spec.input: sizes.anchor}
        first = entries.dynamic(network.with_fixed(fixed), curve)
        if list(first.weights) != list(entry.weights):
            raise NotEveryValue("its weights have other names at other values")
        anchor = (sizes.anchor, replace(first, columns=sizes.columns))
    return Form("specialised", (entry,), curve=curve, anchor=anchor, notes=found.notes)
