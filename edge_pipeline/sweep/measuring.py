"""Compilation and measurement of a sweep's points, in interleaved rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compiler.compile import CompileRequest, compile_model
from edge_pipeline.errors import ArtifactError
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.devices.base import Placement
from edge_pipeline.harness.devices.named import check_name, open_named
from edge_pipeline.harness.protocol import Plan
from edge_pipeline.registry import BACKENDS
from edge_pipeline.select.phi import Phi, phi_text, phi_value
from edge_pipeline.select.record import Measurement, Setting, Sweep

__all__ = ["GROUP", "Measuring", "measure_points", "program_bytes"]

GROUP = 16
"""Most artifacts that are measured together; each of them has a process of its own."""

_FOLDER = "artifacts"


@dataclass(frozen=True)
class Measuring:
    """How points are compiled and measured.

    Attributes:
        backend: Name of the backend in the registry.
        device: Name of the device in the registry.
        threads: Number of threads that compute.
        plan: Numbers of runs.
    """

    backend: str
    device: str = "host"
    threads: int = 1
    plan: Plan = field(default_factory=Plan)

    @property
    def variant(self) -> tuple[str, str, str, int]:
        """The variant of the measurements; see `Measurement.variant`."""
        return self.backend, "fp32", self.device, self.threads

    def check(self) -> None:
        """Check the backend and the device, so that an error occurs before the evaluation.

        Raises:
            UnknownNameError: If there is no such backend or device.
            MissingExtraError: If a package of the backend is not installed.
        """
        BACKENDS.load(self.backend).require()
        check_name(self.device)


def measure_points(
    sweep: Sweep,
    phis: Sequence[Phi],
    how: Measuring,
    folder: Path,
    *,
    save: Callable[[Sweep], None],
    on_step: Callable[[str], None] = lambda _step: None,
) -> Sweep:
    """Compile and measure evaluated points that have no measurement of this kind yet.

    At most `GROUP` artifacts take turns in one measurement. If there are more, each group contains
    values from the whole range, so that a slow change of the machine affects all of it.

    Args:
        sweep: Records of the sweep.
        phis: Values of phi to measure; all of them are evaluated.
        how: Backend, device, threads and runs.
        folder: Folder of the sweep; the artifacts are kept in its subfolder `artifacts`.
        save: Function that stores the records; it is called after each group.
        on_step: Function that is called with a description of each step before it starts.

    Returns:
        The records with the measurements.

    Raises:
        EdgePipelineError: If a point cannot be compiled or measured.
    """
    device = open_named(how.device)
    left = [phi for phi in phis if not _is_measured(sweep, phi, how)]
    groups = -(-len(left) // GROUP)
    begun = 0
    for number in range(groups):
        chosen = left[number::groups]
        artifacts = []
        for phi in chosen:
            begun += 1
            on_step(f"compiling phi {phi_text(phi)} ({begun} of {len(left)})")
            artifacts.append(_artifact(sweep.setting, phi, how, folder))
        records = bench(
            [artifact.folder for artifact in artifacts],
            device,
            Settings(plan=how.plan, placement=Placement(threads=how.threads)),
            on_step=on_step,
        )
        for phi, artifact, record in zip(chosen, artifacts, records, strict=True):
            name = artifact.folder.relative_to(folder).as_posix()
            measurement = Measurement(
                artifact_bytes=program_bytes(artifact),
                record=record.model_copy(update={"artifact": name}),
            )
            sweep = sweep.with_measurement(phi, measurement)
        save(sweep)
    return sweep


def program_bytes(artifact: Artifact) -> int:
    """Return the size of the model files of all programs; a file of several counts once."""
    names: set[str] = set()
    for program in artifact.manifest.every_program():
        names |= {*(artifact.manifest.folder(program.file) or (program.file,)), *program.extra}
    return sum(artifact.path(name).stat().st_size for name in names)


def _is_measured(sweep: Sweep, phi: Phi, how: Measuring) -> bool:
    point = sweep.at(phi)
    return point is not None and any(m.variant == how.variant for m in point.measurements)


def _artifact(setting: Setting, phi: Phi, how: Measuring, folder: Path) -> Artifact:
    """Return the artifact of a phi, which is compiled unless the folder contains it."""
    path = folder / _FOLDER / f"{how.backend}-phi-{phi_text(phi)}"
    try:
        found = Artifact.open(path)
    except ArtifactError:  # absent, or damaged
        found = None
    if found and found.manifest.source.checkpoint_sha256 == setting.checkpoint_sha256:
        return found
    request = CompileRequest(
        source=Path(setting.checkpoint),
        output=path,
        backend=how.backend,
        size=(setting.input[1], setting.input[2]),
        fixed={"phi": phi_value(phi)},
        force=True,
    )
    return compile_model(request)
