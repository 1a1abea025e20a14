"""Opening of a segmenter: its artifact, its tensors, and its program, also at another phi."""

from __future__ import annotations

from pathlib import Path

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.errors import ArtifactError, InputError, RuntimeFailure
from edge_pipeline.files import packaged
from edge_pipeline.proof.changes import change_to, changed_files
from edge_pipeline.runtime.base import Session, loads_from_memory, open_session, runtime_named

__all__ = ["DEFAULT_MODEL", "opened", "ports", "session_at"]

DEFAULT_MODEL = "pretrained/phi_unet_nuclei/artifact"

_CHANNELS = (1, 3)
_MOST_LABELS = 255
_PHI = "phi"


def opened(model: Path | str | None) -> Artifact:
    """Open the artifact of a segmenter.

    Args:
        model: Folder of the artifact; None for the shipped one.

    Raises:
        ArtifactError: If the folder is not an artifact, or the artifact is damaged.
    """
    if model is not None:
        return Artifact.open(Path(model))
    folder = packaged("calibration") / DEFAULT_MODEL
    if not folder.exists():
        raise ArtifactError(
            f"this installation has no default segmenter ({folder} is missing); give --model "
            "ARTIFACT"
        )
    return Artifact.open(folder)


def ports(artifact: Artifact) -> tuple[TensorSpec, TensorSpec]:
    """Return the picture and the logits of a segmenter; its programs have the same tensors.

    Raises:
        ArtifactError: If the artifact is no segmenter.
    """
    programs = artifact.manifest.programs
    fault = None
    alike = len({(one.inputs, one.outputs) for one in programs}) == 1
    if not alike or len(programs[0].inputs) != 1 or len(programs[0].outputs) != 1:
        fault = "it must have one program for each phi, with one input, the picture, and one output"
    else:
        picture, logits = programs[0].inputs[0], programs[0].outputs[0]
        if any(t.layout != "NCHW" or t.dtype != "float32" for t in (picture, logits)):
            fault = f"it maps {picture.text()} to {logits.text()}, not float32 NCHW"
        elif picture.shape[0] != 1 or picture.shape[1] not in _CHANNELS:
            fault = f"its input is {picture.shape_text()}, not 1x3 or 1x1 for one picture"
        elif logits.shape[2:] != picture.shape[2:] or not _is_count(logits.shape[1]):
            fault = (
                f"its output is {logits.shape_text()} for {picture.shape_text()}, not 1 to "
                f"{_MOST_LABELS} scores for each pixel"
            )
        elif artifact.manifest.card.output_space in ("camera_linear", "srgb"):
            fault = "its output is a picture"
        else:
            return picture, logits
    raise ArtifactError(f"{artifact.folder} is no segmenter: {fault}; give another --model")


def _is_count(size: int | str) -> bool:
    return isinstance(size, int) and 1 <= size <= _MOST_LABELS


def session_at(artifact: Artifact, phi: float | None, threads: int) -> Session:
    """Load the program of a segmenter, with the weights of phi; nothing is written.

    Of an artifact with programs for several values, the one in whose range phi lies is loaded.

    Args:
        artifact: Artifact of a segmenter.
        phi: Rescaling factor; None for that of the artifact, the highest of several.
        threads: Number of threads that compute.

    Raises:
        InputError: If the artifact has no such factor, or `phi` is outside its range.
        EdgePipelineError: As for `runtime.base.open_session`.
    """
    fixed = artifact.manifest.fixed.get(_PHI)
    programs = artifact.manifest.programs
    if phi is None or phi == fixed:
        return open_session(artifact, programs[-1].name, threads=threads)
    if fixed is None:
        raise InputError(
            f"{artifact.folder} has no rescaling factor phi; leave out --phi, or give a model that "
            "was compiled with --phi"
        )
    for one in programs:
        if one.fixed.get(_PHI) == phi:
            return open_session(artifact, one.name, threads=threads)
    change = change_to(artifact, {_PHI: phi})
    spec = next(one for one in programs if change.concerns(one))
    files, spec = changed_files(artifact, spec, change)
    backend = artifact.manifest.backend
    if not loads_from_memory(backend):
        raise RuntimeFailure(
            f"{backend} loads programs from files only, so the weights of {artifact.folder} cannot "
            "be replaced; write a copy with edge-pipeline respecialise"
        )
    runtime = runtime_named(backend)
    return runtime.open_session(artifact.path(spec.file), spec, threads, files)
