"""CamVid in the layout of the SegNet tutorial, and the original."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.data.labelled import IGNORED, load_labelled
from edge_pipeline.data.labels import camvid as camvid_module
from edge_pipeline.data.sets import find_set, load_set
from edge_pipeline.errors import InputError

NAMES = {
    "train": ["0001TP_006690", "0016E5_00390"],
    "val": ["0016E5_07959"],
    "test": ["0001TP_008550", "Seq05VD_f00000"],
}


@pytest.fixture(params=["png", "jpg"])
def camvid(request, miniature):
    masks = {}
    for split, names in NAMES.items():
        for name in names:
            miniature.picture(f"{split}/{name}.{request.param}")
            masks[name] = miniature.mask(f"{split}annot/{name}.png", range(12))
    return miniature.folder, masks


def test_the_folders_are_the_splits_and_11_is_ignored(camvid):
    folder, masks = camvid
    for split, names in NAMES.items():
        pictures = load_labelled("camvid", split, {"folder": folder})
        assert pictures.names == names
        assert len(pictures.labels) == 11
        assert not pictures.background
        for index, name in enumerate(names):
            mask = pictures.read(index)[1]
            expected = np.where(masks[name] == 11, IGNORED, masks[name])
            np.testing.assert_array_equal(mask, expected)


def test_a_label_beyond_11_and_a_missing_folder_are_named(camvid, miniature):
    folder, _ = camvid
    miniature.mask("valannot/0016E5_07959.png", [0, 12])
    with pytest.raises(InputError, match=r"07959.png has the value 12, .* camvid; .* 0 to 11$"):
        load_labelled("camvid", "val", {"folder": folder}).read(0)
    (folder / "testannot").rename(folder / "labels")
    with pytest.raises(InputError, match=r"testannot is missing; get camvid from https://github"):
        load_labelled("camvid", "test", {"folder": folder})


def test_the_camvid_that_is_here():
    try:
        find_set("camvid")
    except InputError as error:
        pytest.skip(str(error))
    assert len(load_labelled("camvid", "train", {})) == 367
    pictures = load_labelled("camvid", "val", {})
    assert len(pictures) == 101
    seen = set()
    for index in range(0, len(pictures), 5):
        picture, mask = pictures.read(index)
        assert picture.shape == (3, 360, 480)
        assert mask.shape == (360, 480)
        seen |= set(np.unique(mask).tolist())
    assert {0, 1, 3, 5, 8, IGNORED} <= seen <= {*range(11), IGNORED}


# Two classes of each label from the published table of the original's 32 colours.
COLOURS = {
    (128, 128, 128): 0,
    (128, 0, 0): 1,
    (64, 0, 64): 1,
    (192, 192, 128): 2,
    (0, 0, 64): 2,
    (128, 64, 128): 3,
    (128, 0, 192): 3,
    (0, 0, 192): 4,
    (128, 128, 192): 4,
    (128, 128, 0): 5,
    (192, 192, 0): 5,
    (192, 128, 128): 6,
    (0, 64, 64): 6,
    (64, 64, 128): 7,
    (64, 0, 128): 8,
    (192, 128, 192): 8,
    (64, 64, 0): 9,
    (192, 128, 64): 9,
    (0, 128, 192): 10,
    (192, 0, 192): 10,
    (0, 0, 0): IGNORED,
}


@pytest.fixture
def original(miniature):
    masks = {}
    for name in [name for names in NAMES.values() for name in names]:
        miniature.picture(f"701_StillsRaw_full/{name}.png")
        where = miniature.rng.integers(0, len(COLOURS), (12, 16))
        codes = np.array(list(COLOURS), np.uint8)[where]
        miniature.write(f"LabeledApproved_full/{name}_L.png", Image.fromarray(codes))
        masks[name] = np.array(list(COLOURS.values()))[where]
    return miniature, masks


def test_the_original_has_the_same_labels_and_splits(original):
    miniature, masks = original
    for split, names in NAMES.items():
        pictures = load_labelled("camvid", split, {"folder": miniature.folder})
        assert pictures.names == names
        for index, name in enumerate(names):
            np.testing.assert_array_equal(pictures.read(index)[1], masks[name])


def test_each_of_the_32_colours_belongs_to_one_label():
    colours = [colour for group in camvid_module._COLOURS.values() for colour in group]
    assert len({*colours, 0}) == 32


def test_the_published_lists_have_the_splits_of_the_original():
    files = [Path(file.path) for file in load_set("camvid").files]
    listed = [path for path in files if path.parent.name in ("train", "val")]
    assert len(listed) == 468
    assert [path for path in listed if camvid_module._split(path.stem) != path.parent.name] == []


def test_a_colour_that_is_no_class_and_a_missing_mask_are_named(original):
    miniature, _ = original
    codes = np.full((12, 16, 3), (1, 2, 3), np.uint8)
    miniature.write("LabeledApproved_full/0016E5_07959_L.png", Image.fromarray(codes))
    pictures = load_labelled("camvid", "val", {"folder": miniature.folder})
    with pytest.raises(InputError, match=r"07959_L.png has the colour #010203, which is no class"):
        pictures.read(0)
    (miniature.folder / "LabeledApproved_full/0016E5_07959_L.png").unlink()
    with pytest.raises(InputError, match=r"07959_L.png is missing; get camvid from"):
        load_labelled("camvid", "val", {"folder": miniature.folder})


def test_a_mask_of_the_original_without_its_picture_is_named(original):
    miniature, _ = original
    (miniature.folder / "701_StillsRaw_full/0016E5_00390.png").unlink()
    with pytest.raises(InputError, match=r"full/0016E5_00390.png is missing; get camvid from"):
        load_labelled("camvid", "train", {"folder": miniature.folder})
