"""Verification of an artifact on this machine: the runtime's outputs are compared with eager's.

For the reference input, the artifact contains eager's output. For new random inputs, eager runs on
this machine, from the graph in the artifact, if torch is installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import Checked, Manifest, ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.closing import Closing
from edge_pipeline.compare import TOLERANCES, Tolerance
from edge_pipeline.errors import InputError
from edge_pipeline.proof.reports import OutputReport, ProgramReport, VerifyReport, judged
from edge_pipeline.proof.variation import with_variation
from edge_pipeline.registry import RUNTIMES
from edge_pipeline.runtime.base import EAGER, Session, open_session
from edge_pipeline.runtime.inputs import Kind, random_inputs

__all__ = [
    "DEFAULT_RANDOM",
    "OutputReport",
    "ProgramReport",
    "Trials",
    "VerifyReport",
    "verify_artifact",
]

DEFAULT_RANDOM = 2

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Trials:
    """Random inputs on which artifacts are run, and the allowed error.

    Attributes:
        random: Number of random inputs; None for two if eager can run here, and zero otherwise.
        seed: Seed of the random inputs.
        tolerance: Largest relative error, in place of the default tolerance of the precision.
    """

    random: int | None = None
    seed: int = 0
    tolerance: float | None = None

    def bound(self, manifest: Manifest) -> Tolerance:
        """Return the tolerance for differences from eager."""
        if self.tolerance is not None:
            return Tolerance(max_rel=self.tolerance)
        return TOLERANCES[manifest.precision]

    def kind(self, manifest: Manifest, index: int) -> Kind:
        """Return noise and pictures in turn; only pictures for int8, as in its calibration sets."""
        return "picture" if manifest.precision == "int8" or index % 2 else "noise"

    def rng(self, index: int) -> np.random.Generator:
        """Return the random generator for the inputs of one trial."""
        return np.random.default_rng([self.seed, index])


class _Side(Closing):
    """The programs of an artifact, opened in one runtime; a context manager."""

    def __init__(self, artifact: Artifact, threads: int, runtime: str | None) -> None:
        self._artifact = artifact
        self._threads = threads
        self._runtime = runtime
        with ExitStack() as stack:
            self._sessions = {
                spec.name: stack.enter_context(self._session(spec))
                for spec in artifact.manifest.programs
            }
            self._open = stack.pop_all()

    def close(self) -> None:
        """Close the sessions of all programs."""
        self._open.close()

    def _session(self, spec: ProgramSpec, constants: Arrays | None = None) -> Session:
        return open_session(
            self._artifact,
            spec.name,
            threads=self._threads,
            runtime=self._runtime,
            constants=constants,
        )

    def run(self, spec: ProgramSpec, inputs: Arrays) -> Arrays:
        """Run one program and return its outputs."""
        return self._sessions[spec.name].run(inputs)

    def chain(self, seen: Arrays, inputs: Arrays) -> Arrays:
        """Predict filters from `seen`, and return the outputs of the path for them and `inputs`."""
        predictor, path = self._artifact.manifest.programs
        filters = self.run(predictor, seen)
        if self._artifact.manifest.filters == "split":
            return self.run(path, inputs | filters)
        with self._session(path, filters) as session:
            return session.run(inputs)


def verify_artifact(
    artifact: Artifact, *, threads: int = 1, trials: Trials | None = None
) -> VerifyReport:
    """Run each program on its reference input and on random inputs, and compare with eager.

    A filter predictor and its path are also run as a chain. In the chain, the runtime and eager
    each use the filters that they predicted themselves.

    Args:
        artifact: A checked artifact.
        threads: Number of threads that the runtime may use.
        trials: The random inputs and the tolerance.

    Raises:
        VerificationError: If an output is not finite.
        InputError: If random inputs were requested and eager cannot run here.
        MissingExtraError, RuntimeFailure: As in `open_session` and `Session.run`.
    """
    trials, manifest = trials or Trials(), artifact.manifest
    if manifest.backend not in RUNTIMES:
        note = (
            f"no runtime on this machine runs artifacts of {manifest.backend}; run it on a device"
        )
        return _report(artifact, threads, (), "not_run", (note,))
    count, notes = _random_count(artifact, trials)
    if manifest.checked == "not_run" and not count:
        # With exchanged weights the reference is the program's own output, so it always agrees.
        return _report(artifact, threads, (), "not_run", notes + manifest.notes)
    programs: list[ProgramReport] = []
    with ExitStack() as stack:
        tested = stack.enter_context(_Side(artifact, threads, None))
        eager = stack.enter_context(_Side(artifact, threads, EAGER)) if count else None
        specs = tuple(_measured(artifact, spec, eager) for spec in manifest.programs)
        manifest = manifest.model_copy(update={"programs": specs})
        for spec in manifest.programs:
            inputs, expected = artifact.reference(spec.name)
            found = tested.run(spec, inputs)
            programs.append(_judged(manifest, spec, "reference", inputs, expected, found, trials))
        if eager is not None:
            programs += _eager_on_reference(artifact, manifest, eager)
            for index in range(count):
                programs += _random_trial(artifact, manifest, tested, eager, trials, index)
    notes += tuple(_dead_output_warnings(manifest, programs))
    return _report(artifact, threads, tuple(programs), _how(manifest), notes)


def _measured(artifact: Artifact, spec: ProgramSpec, eager: _Side | None) -> ProgramSpec:
    """Return the program with the variation of its outputs, if it is stored or eager can run."""
    if spec.variation or eager is None:
        return spec
    inputs, _ = artifact.reference(spec.name)
    return with_variation(spec, inputs, partial(eager.run, spec))


def _dead_output_warnings(manifest: Manifest, programs: Sequence[ProgramReport]) -> Iterator[str]:
    """Yield a warning for each output of the network that hardly depends on the input."""
    last = manifest.programs[-1].name
    for report in programs:
        if report.program == last and report.input == "reference":
            for output in report.outputs:
                if output.doubt is not None:
                    yield f"warning: {output.name} {output.doubt}"


def _how(manifest: Manifest) -> Checked:
    """Return the result of a successful check: some runtimes only evaluate a file's operators."""
    module = RUNTIMES.load(manifest.backend)
    if hasattr(module, "checked"):
        here: Checked = module.checked()
        return here
    return "translation" if manifest.checked == "translation" else "verified"


def _random_count(artifact: Artifact, trials: Trials) -> tuple[int, tuple[str, ...]]:
    """Return the number of random inputs, and notes about it."""
    reason = None
    if any(spec.graph is None for spec in artifact.manifest.programs):
        reason = "the artifact does not contain a graph for eager"
    elif importlib.util.find_spec("torch") is None:
        reason = "torch, which runs the network itself, is not installed"
    if reason is None:
        return DEFAULT_RANDOM if trials.random is None else trials.random, ()
    if trials.random:
        raise InputError(
            f"{artifact.folder} cannot be verified on {trials.random} random inputs: {reason}"
        )
    return 0, (f"verified on the reference input only: {reason}",)


def _eager_on_reference(
    artifact: Artifact, manifest: Manifest, eager: _Side
) -> Iterator[ProgramReport]:
    """Check that the graph reproduces the network's outputs that are stored in the artifact."""
    for spec in manifest.programs:
        inputs, expected = artifact.reference(spec.name)
        pair = (expected, eager.run(spec, inputs))
        # The reference of a copy by `respecialise` is its program's own output.
        own = manifest.checked == "not_run"
        exact = TOLERANCES[manifest.precision if own else "fp32"]
        yield judged(manifest, spec, "reference, eager", inputs, pair, exact)


def _random_trial(
    artifact: Artifact,
    manifest: Manifest,
    tested: _Side,
    eager: _Side,
    trials: Trials,
    index: int,
) -> list[ProgramReport]:
    """Compare each program on its own random inputs, then a predictor and its path as a chain."""
    rng, kind = trials.rng(index), trials.kind(manifest, index)
    label = f"random {index}"
    reports = []
    drawn: dict[str, Arrays] = {}
    for spec in manifest.programs:
        reference, _ = artifact.reference(spec.name)
        minimum = manifest.tile.minimum
        inputs = random_inputs(spec, reference, rng, kind=kind, minimum=minimum)
        drawn[spec.name] = inputs
        expected, found = eager.run(spec, inputs), tested.run(spec, inputs)
        reports.append(_judged(manifest, spec, label, inputs, expected, found, trials))
    if len(drawn) > 1 and not manifest.has_several:
        predictor, path = manifest.programs
        seen, packed = drawn[predictor.name], drawn[path.name]
        expected, found = eager.chain(seen, packed), tested.chain(seen, packed)
        report = _judged(manifest, path, label, packed, expected, found, trials)
        reports.append(report.model_copy(update={"program": f"{predictor.name} + {path.name}"}))
    return reports


def _judged(
    manifest: Manifest,
    spec: ProgramSpec,
    label: str,
    inputs: Arrays,
    expected: Arrays,
    found: Arrays,
    trials: Trials,
) -> ProgramReport:
    return judged(manifest, spec, label, inputs, (expected, found), trials.bound(manifest))


def _report(
    artifact: Artifact,
    threads: int,
    programs: tuple[ProgramReport, ...],
    checked: Checked,
    notes: tuple[str, ...],
) -> VerifyReport:
    passed = checked != "not_run" and all(program.passed for program in programs)
    verdict: Literal["failed"] | Checked = checked
    if not passed and checked != "not_run":
        verdict = "failed"
    return VerifyReport(
        artifact=str(artifact.folder),
        digest=artifact.digest,
        backend=artifact.manifest.backend,
        precision=artifact.manifest.precision,
        threads=threads,
        verdict=verdict,
        programs=programs,
        passed=passed,
        notes=notes,
    )
