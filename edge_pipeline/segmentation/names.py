"""Names of labels, and the shares of a picture that they cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError

__all__ = ["LabelNames"]

_BINARY = 2


@dataclass(frozen=True)
class LabelNames:
    """Names of the labels of a segmenter.

    Attributes:
        names: Name of each label; the index is the value in a mask.
        background: Whether label 0 is the background.
    """

    names: tuple[str, ...]
    background: bool

    @classmethod
    def of(cls, artifact: Artifact, count: int) -> LabelNames:
        """Return the names of the artifact's model card; numbers if it has none.

        Args:
            artifact: Artifact of a segmenter.
            count: Number of labels.

        Raises:
            ArtifactError: If the card has another number of names.
        """
        card = artifact.manifest.card
        # Of two labels without names, the first is the background.
        background = count == _BINARY if card.background is None else card.background
        if not card.labels:
            first = "background" if background else "label 0"
            return cls((first, *(f"label {number}" for number in range(1, count))), background)
        if len(card.labels) != count:
            raise ArtifactError(
                f"{artifact.folder} names {len(card.labels)} labels and computes {count}; compile "
                "the artifact again"
            )
        return cls(card.labels, background)

    def shares(self, labels: NDArray[np.uint8]) -> dict[str, float]:
        """Return the share of the pixels with each label except the background, 0 to 1.

        Args:
            labels: Label of each pixel, [H, W].

        Returns:
            Shares by name, the largest first; labels without a pixel are left out. Labels with the
            same name are added.
        """
        counts = np.zeros(len(self.names), np.int64)
        for row in labels:  # a count of all pixels at once would convert them to eight bytes
            counts += np.bincount(row, minlength=len(self.names))
        shares: dict[str, float] = {}
        for number in np.argsort(-counts, kind="stable"):
            if counts[number] and not (self.background and number == 0):
                name = self.names[number]
                shares[name] = shares.get(name, 0.0) + int(counts[number]) / labels.size
        return shares
