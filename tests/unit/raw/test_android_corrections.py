"""The values with which the app's tests compare its corrections are those of this version."""

import json

import numpy as np
import pytest
from PIL import Image

from android_demo.tools.make_correction_fixtures import CAPTURES, FOLDER, corrections

GOLDEN = json.loads((FOLDER / "corrections.json").read_text())


@pytest.mark.parametrize("name", CAPTURES)
def test_the_fixture_is_current(name):
    found, aligned = corrections(name)
    expected = GOLDEN[name]
    for colour in ("red", "blue"):
        own, other = found.pop(colour), expected.pop(colour)
        assert own.pop("displacement") == pytest.approx(other.pop("displacement"), abs=1e-6)
        assert own.pop("prediction") == pytest.approx(other.pop("prediction"), abs=1e-6)
        assert own == other
    assert found == expected
    if name.startswith("lens_"):
        with Image.open(FOLDER / f"{name}_aligned.png") as picture:
            assert np.array_equal(np.asarray(picture), aligned.mosaic)
