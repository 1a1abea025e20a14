"""Cityscapes."""

import numpy as np
import pytest

from edge_pipeline.data.labelled import IGNORED, load_labelled
from edge_pipeline.errors import InputError

FRAMES = {
    "train": ["aachen/aachen_000000_000019", "bochum/bochum_000000_000313"],
    "val": ["frankfurt/frankfurt_000000_000294"],
    "test": ["berlin/berlin_000000_000019"],
}
# From the published table of labels: `id` and `trainId`.
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11}
TRAIN_IDS |= {25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}


@pytest.fixture
def city(miniature):
    masks = {}
    for split, frames in FRAMES.items():
        for frame in frames:
            miniature.picture(f"leftImg8bit/{split}/{frame}_leftImg8bit.png")
            values = range(34) if split != "test" else [0, 1, 3]
            masks[frame] = miniature.mask(f"gtFine/{split}/{frame}_gtFine_labelIds.png", values)
            for kind in ("color", "instanceIds"):
                miniature.picture(f"gtFine/{split}/{frame}_gtFine_{kind}.png")
    (miniature.folder / "leftImg8bit/val/frankfurt/._x_leftImg8bit.png").write_bytes(b"of macOS")
    return miniature, masks


def expected(codes):
    table = np.full(34, IGNORED, np.uint8)
    table[list(TRAIN_IDS)] = list(TRAIN_IDS.values())
    return table[codes]


def load(miniature, split):
    return load_labelled("cityscapes", split, {"folder": miniature.folder})


def test_label_ids_become_the_19_labels_of_the_benchmark(city):
    miniature, masks = city
    for split in ("train", "val"):
        pictures = load(miniature, split)
        assert pictures.names == [frame.split("/")[1] for frame in FRAMES[split]]
        assert len(pictures.labels) == 19
        assert pictures.labels[13] == "car"
        assert not pictures.background
        for index, frame in enumerate(FRAMES[split]):
            np.testing.assert_array_equal(pictures.read(index)[1], expected(masks[frame]))


def test_train_ids_are_read_where_label_ids_are_absent(city):
    miniature, masks = city
    for frame in FRAMES["train"]:
        codes = miniature.mask(
            f"gtFine/train/{frame}_gtFine_labelTrainIds.png", [*range(19), IGNORED]
        )
        (miniature.folder / f"gtFine/train/{frame}_gtFine_labelIds.png").unlink()
        masks[frame] = codes
    pictures = load(miniature, "train")
    for index, frame in enumerate(FRAMES["train"]):
        np.testing.assert_array_equal(pictures.read(index)[1], masks[frame])


def test_the_empty_labels_of_the_published_test_split_are_refused(city):
    miniature, _ = city
    with pytest.raises(InputError, match=r"berlin_000000_000019_gtFine_labelIds.png has no labels"):
        load(miniature, "test")
    frame = FRAMES["test"][0]  # labels of another set in the same layout
    codes = miniature.mask(f"gtFine/test/{frame}_gtFine_labelIds.png", [7, 26])
    np.testing.assert_array_equal(load(miniature, "test").read(0)[1], expected(codes))


def test_faults_are_named(city):
    miniature, _ = city
    frame = FRAMES["val"][0]
    miniature.mask(f"gtFine/val/{frame}_gtFine_labelIds.png", [7, 34])
    with pytest.raises(
        InputError, match=r"has the value 34, .* cityscapes; its values are 0 to 33"
    ):
        load(miniature, "val").read(0)
    (miniature.folder / f"gtFine/val/{frame}_gtFine_labelIds.png").unlink()
    with pytest.raises(InputError, match=r"_labelIds.png is missing; get cityscapes from https:"):
        load(miniature, "val")
    (miniature.folder / "gtFine/val").rename(miniature.folder / "gtFine/valid")
    with pytest.raises(InputError, match=r"gtFine/val is missing; get cityscapes from"):
        load(miniature, "val")
    (miniature.folder / "leftImg8bit").rename(miniature.folder / "images")
    with pytest.raises(InputError, match=r"leftImg8bit is missing; get cityscapes from"):
        load(miniature, "train")


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_a_mask_without_its_picture_is_named(city, kind):
    miniature, _ = city
    frame = "aachen/aachen_000000_000020"
    miniature.mask(f"gtFine/train/{frame}_gtFine_{kind}.png", [0])
    with pytest.raises(InputError, match=rf"{frame}_leftImg8bit.png is missing; get cityscapes"):
        load(miniature, "train")
