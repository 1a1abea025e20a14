"""The data set of the public-domain and CC0 photographs in the scikit-image package."""

from __future__ import annotations

import numpy as np

from edge_pipeline.data.pictures import DatasetOptions, Pictures
from edge_pipeline.optional import require

__all__ = ["Options", "load"]

# The photographs whose docstrings in skimage.data state CC0 or the public domain.
_NAMES = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "rocket")


class Options(DatasetOptions):
    """Options of the data set, of which there are none."""


def load(options: Options) -> Pictures:
    """Read the photographs from the installed package, without a download.

    Raises:
        MissingExtraError: If scikit-image is not installed.
    """
    del options
    data = require("skimage.data", "train", "the data set skimage_samples")
    pictures = [np.asarray(getattr(data, name)()) for name in _NAMES]
    return Pictures("scikit-image samples", "CC0 or public domain", pictures, _NAMES)
