"""Evaluation of a checkpoint at values of phi: weights come from its hypernetwork."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_pipeline.errors import InputError
from edge_pipeline.models.activation_memory import peak_activation_bytes
from edge_pipeline.models.checkpoint import Checkpoint, load_checkpoint
from edge_pipeline.models.cost import cost_of
from edge_pipeline.select.phi import Phi, phi_value
from edge_pipeline.select.record import Point, Setting
from edge_pipeline.sweep.pictures import Pictures
from edge_pipeline.sweep.scores import scores_of
from edge_pipeline.train.scoring import Scorer

__all__ = ["Evaluator", "Subject", "open_subject"]


@dataclass(frozen=True)
class Subject:
    """A checkpoint and its network.

    Attributes:
        path: Path of the checkpoint, as the user gave it.
        checkpoint: Content of the checkpoint.
        network: Network with phi, in eval mode.
        factors: Number of separate rescaling factors; 1 if all rescalings share one.
    """

    path: Path
    checkpoint: Checkpoint
    network: Any
    factors: int = 1

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels: those of the model card if they fit, otherwise numbers."""
        count = max(2, self.network.outputs[0].channels)
        named = self.checkpoint.card.get("labels")
        if isinstance(named, list) and len(named) == count:
            return tuple(map(str, named))
        return tuple(f"label {number}" for number in range(count))


def open_subject(path: Path) -> Subject:
    """Read a checkpoint whose network has a rescaling factor, or one for each rescaling.

    Raises:
        CheckpointError: If the file is not a checkpoint.
        InputError: If the network has no rescaling factor phi.
    """
    checkpoint = load_checkpoint(path)
    network: Any = checkpoint.build()
    if not hasattr(network, "phi_range"):
        raise InputError(
            f"{path} has the network {checkpoint.model}, which has no rescaling factor phi; give "
            "the checkpoint of a network such as phi_unet_pets"
        )
    factors = getattr(network, "factors", 1)
    if getattr(network, "options", None) is not None:  # a network without hypernetwork
        factors = getattr(network.options, "factors", factors)
    return Subject(path, checkpoint, network, factors)


class Evaluator:
    """Computes all figures of a phi that need no compiled artifact.

    Args:
        subject: The checkpoint and its network.
        pictures: The pictures.
        resize: Height and width that pictures and masks are scaled to; None keeps them, and cost
            is counted for the network's default size.

    Attributes:
        setting: What all points share.

    Raises:
        InputError: If the network does not fit the data set.
    """

    def __init__(
        self, subject: Subject, pictures: Pictures, resize: tuple[int, int] | None
    ) -> None:
        self._network = subject.network
        checkpoint, data = subject.checkpoint, pictures.data
        self._scorer = Scorer(self._network, data, resize)
        height, width = resize or self._network.default_size
        low, high = self._network.phi_range
        self.setting = Setting(
            checkpoint=str(subject.path),
            checkpoint_sha256=checkpoint.sha256,
            model=checkpoint.model,
            phi_range=(low, high),
            factors=subject.factors,
            dataset=pictures.dataset,
            data_options=dict(pictures.options),
            split=pictures.split,
            labels=data.labels,
            background=data.background,
            pictures=tuple(data.names),
            resize=resize,
            input=(self._network.inputs[0].channels, height, width),
        )

    def point(self, phi: Phi, on_picture: Callable[[int], None] = lambda _index: None) -> Point:
        """Return the figures of a phi.

        Args:
            phi: Rescaling factor, or one for each rescaling.
            on_picture: Function that is called with the position of each picture before it is
                evaluated.

        Raises:
            InputError: If phi is outside the trained range, or a picture or mask cannot be used.
        """
        shape, fixed = (1, *self.setting.input), {"phi": phi_value(phi)}
        counts = self._scorer.counts(phi, on_picture)
        return Point(
            phi=phi,
            macs=cost_of(self._network, shape, fixed=fixed).path.macs,
            activation_bytes=peak_activation_bytes(self._network, shape, fixed=fixed),
            scores=scores_of(counts, self.setting.labels, background=self.setting.background),
        )
