import sys

import numpy as np
import pytest

from edge_pipeline.data.pictures import load_pictures
from edge_pipeline.errors import MissingExtraError


def test_the_photographs_in_the_wheel_are_colour_pictures_with_their_licence():
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    loaded = load_pictures("skimage_samples", {})
    assert len(loaded.pictures) == 5
    for picture in loaded.pictures:
        assert picture.dtype == np.uint8
        assert picture.shape[2:] == (3,)
        assert min(picture.shape[:2]) >= 300
        assert picture.std() > 10
    assert loaded.licence == "CC0 or public domain"


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(MissingExtraError, match="train"):
        load_pictures("skimage_samples", {})
