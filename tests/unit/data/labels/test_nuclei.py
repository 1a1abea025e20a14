"""The nuclei, in both layouts."""

import numpy as np
import pytest

from edge_pipeline.data.labelled import load_labelled
from edge_pipeline.data.sets import find_set
from edge_pipeline.errors import InputError

IDS = [f"{index:x}" * 64 for index in range(6)]
SPLITS = ("train", "val", "test")
EVEN = {"shares": (0.4, 0.3, 0.3)}


def original(miniature, below="stage1_train"):
    """The layout of the Data Science Bowl, with two masks for each picture; returns the union."""
    unions = {}
    for name in IDS:
        miniature.picture(f"{below}/{name}/images/{name}.png", channels=4)
        masks = [
            miniature.mask(f"{below}/{name}/masks/{n}.png", [0, 0, 0, 255]) for n in ("f00", "c1")
        ]
        unions[name[:16]] = np.maximum(*masks) > 0
    return unions


def samples(folder):
    return [load_labelled("nuclei", split, {"folder": folder, **EVEN}) for split in SPLITS]


@pytest.mark.parametrize("below", ["stage1_train", "."])
def test_masks_of_single_nuclei_are_merged(miniature, below):
    unions = original(miniature, below)
    names = []
    for pictures in samples(miniature.folder):
        names += pictures.names
        assert pictures.labels == ("background", "nucleus")
        assert pictures.background
        for index, name in enumerate(pictures.names):
            picture, mask = pictures.read(index)
            assert picture.shape == (3, 12, 16)
            np.testing.assert_array_equal(mask, unions[name])
    assert sorted(names) == sorted(unions)


def test_the_merged_copy_has_the_same_splits(miniature, tmp_path):
    original(miniature)
    first = [pictures.names for pictures in samples(miniature.folder)]
    copy = type(miniature)(tmp_path / "copy")
    for name in IDS:
        copy.picture(f"images/{name[:16]}.png")
        copy.mask(f"masks/{name[:16]}.png", [0, 255])
    found = samples(copy.folder)
    assert [pictures.names for pictures in found] == first
    assert set(np.unique(found[0].read(0)[1])) == {0, 1}


def test_folders_that_are_not_a_sample_or_a_set_are_refused(miniature):
    original(miniature)
    folder = miniature.folder / "stage1_train" / IDS[1]
    for path in (folder / "masks").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"1{64} has 1 pictures and 0 masks; it needs one picture"):
        samples(miniature.folder)
    with pytest.raises(InputError, match=r"has neither the folders images and masks nor stage1_"):
        samples(miniature.folder.parent / "set" / "stage1_train" / IDS[0] / "images")
    miniature.picture(f"stage1_train/{IDS[1]}/masks/a.png", size=(9, 9), channels=1)
    pictures = load_labelled("nuclei", "train", {"folder": miniature.folder, "shares": (1, 0, 0)})
    with pytest.raises(InputError, match=r"masks/a.png has the value \d+, .* are 0 to 1, 255$"):
        pictures.read(1)


def test_the_nuclei_that_are_here():
    try:
        find_set("nuclei")
    except InputError as error:
        pytest.skip(str(error))
    splits = {split: load_labelled("nuclei", split, {}) for split in SPLITS}
    assert sum(map(len, splits.values())) == 316
    assert len(splits["train"]) == pytest.approx(0.7 * 316, abs=25)
    for index in range(len(splits["val"])):
        picture, mask = splits["val"].read(index)
        assert picture.shape == (3, *mask.shape)
        assert 0 <= picture.min() <= picture.max() <= 1
        assert mask.max() == 1
