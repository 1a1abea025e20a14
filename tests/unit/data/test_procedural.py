import numpy as np
import pytest

from edge_pipeline.data.pictures import load_pictures
from edge_pipeline.data.procedural import KINDS
from edge_pipeline.errors import InputError


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_same_seed_same_picture_of_the_size_asked_for(kind):
    first, second, third = (KINDS[kind](96, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (96, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_kinds_take_turns():
    pictures = load_pictures("procedural", {"count": 6, "size": 64})
    assert set(pictures.names) == set(KINDS)
    assert len(pictures.pictures) == 6


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("procedural", {"count": 0}, "procedural: count: Input should be greater"),
        ("procedural", {"colour": 1}, "procedural: colour: Extra inputs"),
        ("photographs", {"folder": "/nowhere", "licence": "x"}, "/nowhere is not a folder"),
    ],
)
def test_wrong_options_are_one_sentence(dataset, options, message):
    with pytest.raises(InputError, match=message):
        load_pictures(dataset, options)


def test_folder_of_photographs(tmp_path):
    from PIL import Image

    for name in ("a", "b", "c"):
        Image.new("RGB", (8, 6), (len(name), 2, 3)).save(tmp_path / f"{name}.png")
    options = {"folder": str(tmp_path), "licence": "x", "exclude": ["b"]}
    pictures = load_pictures("photographs", options)
    assert list(pictures.names) == ["a.png", "c.png"]
    assert pictures.pictures[0].shape == (6, 8, 3)
    (tmp_path / "d.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"d\.png cannot be read as a picture"):
        load_pictures("photographs", options)
    with pytest.raises(InputError, match="contains no picture"):
        load_pictures("photographs", options | {"only": ["nothing"]})
