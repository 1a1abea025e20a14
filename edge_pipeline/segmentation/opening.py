"""Opening of a segmenter: its artifact, its tensors, and its program, also at another phi."""

from __future__ import annotations

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.weight_curve import WeightCurve
from edge_pipeline.errors import InputError
from edge_pipeline.runtime.base import Session, open_session

__all__ = ["DEFAULT_MODEL", "opened", "ports", "session_at"]

DEFAULT_MODEL = "pretrained/phi_unet_nuclei/artifact"

_CHANNELS = (1, 3)
_MOST_LABELS = 255
_PHI = "phi"


def session_at(artifact: Artifact, phi: float | None, threads: int) -> Session:
    """Load the program of a segmenter, with the weights of phi; nothing is written.

    Args:
        artifact: Artifact of a segmenter.
        phi: Rescaling factor; None for that of the artifact.
        threads: Number of threads that compute.

    Raises:
        InputError: If the artifact has no such factor, or `phi` is outside its range.
        EdgePipelineError: As for `runtime.base.open_session`.
    """
    fixed = artifact.manifest.fixed.get(_PHI)
    if phi is None or phi == fixed:
        return open_session(artifact, "forward", threads=threads)
    if fixed is None:
        raise InputError(
            f"{artifact.folder} has no rescaling factor phi; leave out --phi, or give a model that "
            "was compiled with --phi"
        )
    curve = None
    if artifact.manifest.curve is not None:
        curve = WeightCurve.open(artifact.path(artifact.manifest.curve))
    if curve is None or curve.spec.input != _PHI:
        raise InputError(
            f"{artifact.folder} contains weights for phi={fixed} only; compile it with "
            f"--respecialisable, or for phi={phi:g}"
        )
    return open_session(artifact, "forward", threads=threads, constants=curve.at(phi))
