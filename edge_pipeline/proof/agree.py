"""Comparison of several artifacts of one network: whether the outputs of their runtimes agree."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import Manifest, ProgramSpec
from edge_pipeline.artifact.schema import Value
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.proof.reports import PairReport, ProgramReport, judged
from edge_pipeline.proof.verify import DEFAULT_RANDOM, Trials
from edge_pipeline.registry import RUNTIMES
from edge_pipeline.runtime.base import open_session
from edge_pipeline.runtime.inputs import random_inputs

__all__ = ["compare_artifacts"]

Arrays = dict[str, NDArray[np.float32]]


def compare_artifacts(
    artifacts: Sequence[Artifact], *, threads: int = 1, trials: Trials | None = None
) -> list[PairReport]:
    """Run each pair of artifacts on the same inputs, and compare their outputs.

    The inputs are the reference input of one artifact and random inputs. Two artifacts that have
    different networks or weights, or no common input size, are reported and not compared.

    Args:
        artifacts: Checked artifacts; those that no runtime on this machine can run are left out.
        threads: Number of threads that the runtimes may use.
        trials: The random inputs and the tolerance.

    Raises:
        VerificationError: If an output is not finite.
        InputError, MissingExtraError, RuntimeFailure: As in `open_session` and `Session.run`.
    """
    able = [artifact for artifact in artifacts if artifact.manifest.backend in RUNTIMES]
    return [_pair(one, other, threads, trials or Trials()) for one, other in combinations(able, 2)]


def _pair(one: Artifact, other: Artifact, threads: int, trials: Trials) -> PairReport:
    names = (str(one.folder), str(other.folder))
    reason = _why_not(one.manifest, other.manifest)
    if reason is not None:
        return PairReport(pair=names, passed=True, note=f"not compared: {reason}")
    programs: list[ProgramReport] = []
    for spec in one.manifest.programs:
        source = _accepted_by_both(one, other, spec.name)
        if source is None:
            sizes = [a.program(spec.name).inputs[0].shape_text() for a in (one, other)]
            note = f"not compared: the inputs of {spec.name} are {sizes[0]} and {sizes[1]}"
            return PairReport(pair=names, passed=True, note=note)
        programs += _program(one, other, source, spec.name, threads, trials)
    return PairReport(
        pair=names,
        programs=tuple(programs),
        passed=all(program.passed for program in programs),
    )


def _fixed(manifest: Manifest) -> list[dict[str, Value]]:
    """Return the fixed values of the artifact, and of each of several programs."""
    return [manifest.fixed, *(spec.fixed for spec in manifest.programs if spec.fixed)]


def _why_not(one: Manifest, other: Manifest) -> str | None:
    """Return why two artifacts compute different functions, as a clause, or None."""
    for subject, first, second in (
        ("the networks", one.source.model, other.source.model),
        ("the options", one.source.options, other.source.options),
        ("the checkpoints", one.source.checkpoint_sha256, other.source.checkpoint_sha256),
        ("the seeds", one.source.seed, other.source.seed),
        ("the fixed values", _fixed(one), _fixed(other)),
        ("the deployment forms", one.filters, other.filters),
        ("the calibration sets", one.calibration, other.calibration),
    ):
        if first != second:
            return f"{subject} differ"
    return None


def _accepted_by_both(one: Artifact, other: Artifact, program: str) -> Artifact | None:
    """Return the artifact whose input sizes fit both; the one with fixed sizes if they differ."""
    for source, target in ((one, other), (other, one)):
        inputs, _ = source.reference(program)
        taken = {tensor.name: tensor for tensor in target.program(program).inputs}
        free: dict[str, int] = {}
        fits = taken.keys() == inputs.keys() and all(
            taken[name].fits(value.shape, free) for name, value in inputs.items()
        )
        narrow = _is_fixed(source.program(program)) or not _is_fixed(target.program(program))
        if fits and narrow:
            return source
    return None


def _is_fixed(spec: ProgramSpec) -> bool:
    return all(isinstance(size, int) for tensor in spec.inputs for size in tensor.shape)


def _program(
    one: Artifact, other: Artifact, source: Artifact, program: str, threads: int, trials: Trials
) -> list[ProgramReport]:
    """Compare one program of both artifacts on the same inputs."""
    reference, _ = source.reference(program)
    spec, manifest = source.program(program), source.manifest
    quantised = "int8" in (one.manifest.precision, other.manifest.precision)
    inputs: list[tuple[str, Arrays]] = [("reference", reference)]
    for index in range(DEFAULT_RANDOM if trials.random is None else trials.random):
        kind = "picture" if quantised else trials.kind(manifest, index)
        drawn = random_inputs(
            spec, reference, trials.rng(index), kind=kind, minimum=manifest.tile.minimum
        )
        inputs.append((f"random {index}", drawn))
    tolerance = trials.bound(one.manifest).plus(trials.bound(other.manifest))
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(open_session(artifact, program, threads=threads))
            for artifact in (one, other)
        )
        return [
            judged(manifest, spec, label, given, (first.run(given), second.run(given)), tolerance)
            for label, given in inputs
        ]
