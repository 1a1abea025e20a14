"""The public-domain and CC0 photographs that come inside the scikit-image package."""

from __future__ import annotations

import numpy as np

from edge_pipeline.data.pictures import DatasetOptions, Pictures
from edge_pipeline.optional import require

__all__ = ["Options", "load"]

# Those whose docstring in skimage.data states CC0 or the public domain.
_NAMES = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "rocket")


class Options(DatasetOptions):
    """There is nothing to choose."""


def load(options: Options) -> Pictures:
    """Read the photographs; they are inside the wheel, nothing is fetched.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    del options
    data = require("skimage.data", "train", "the data set skimage_samples")
    pictures = [np.asarray(getattr(data, name)()) for name in _NAMES]
    return Pictures("scikit-image samples", "CC0 or public domain", pictures, _NAMES)
