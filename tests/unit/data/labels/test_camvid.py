"""CamVid in the layout of the SegNet tutorial."""

import numpy as np
import pytest

from edge_pipeline.data.labelled import IGNORED, load_labelled
from edge_pipeline.data.sets import find_set
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
