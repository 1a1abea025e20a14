"""PASCAL VOC 2012 and SBD."""

import numpy as np
import pytest

from edge_pipeline.data.labelled import IGNORED, load_labelled
from edge_pipeline.errors import InputError

scipy_io = pytest.importorskip("scipy.io", reason="the masks of SBD are MATLAB files")

VOC = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"]}
SBD = {
    "train": ["2007_000032", "2008_000003", "2007_000033"],  # VOC's train, new, VOC's val
    "val": ["2008_000002"],
}
LISTS = "VOCdevkit/VOC2012/ImageSets/Segmentation"


def matlab(miniature, name, codes):
    """Write a mask of SBD: a structure with Segmentation among other fields."""
    path = miniature.folder / f"benchmark_RELEASE/dataset/cls/{name}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = {"Boundaries": np.zeros((20, 1)), "Segmentation": codes, "CategoriesPresent": [[1]]}
    scipy_io.savemat(path, {"GTcls": fields}, do_compression=True)
    return codes


@pytest.fixture
def voc(miniature):
    masks = {}
    for split, names in VOC.items():
        miniature.text(f"{LISTS}/{split}.txt", *names)
        for name in names:
            miniature.picture(f"VOCdevkit/VOC2012/JPEGImages/{name}.jpg")
            masks[name] = miniature.mask(
                f"VOCdevkit/VOC2012/SegmentationClass/{name}.png", [*range(21), 255], palette=True
            )
    for split, names in SBD.items():
        miniature.text(f"benchmark_RELEASE/dataset/{split}.txt", *names)
        for name in names:
            miniature.picture(f"benchmark_RELEASE/dataset/img/{name}.jpg")
            codes = miniature.rng.integers(0, 21, (12, 16)).astype(np.uint8)
            matlab(miniature, name, codes)
            masks.setdefault(name, codes)
    return miniature, masks


def load(miniature, split="train", **more):
    options = {"folder": miniature.folder, "sbd_folder": miniature.folder, **more}
    return load_labelled("voc", split, options)


def test_palettes_are_read_as_labels(voc):
    miniature, masks = voc
    for split, names in VOC.items():
        pictures = load(miniature, split)
        assert pictures.names == names
        assert len(pictures.labels) == 21
        assert pictures.labels[15] == "person"
        assert pictures.background
        for index, name in enumerate(names):
            mask = pictures.read(index)[1]
            np.testing.assert_array_equal(mask, masks[name])
            assert (mask == IGNORED).any()


def test_augmented_training_is_all_of_both_without_the_validation_list(voc):
    miniature, masks = voc
    pictures = load(miniature, augmented=True)
    assert pictures.names == ["2007_000032", "2007_000039", "2008_000002", "2008_000003"]
    assert "no licence" in pictures.licence
    for index, name in enumerate(pictures.names):
        np.testing.assert_array_equal(pictures.read(index)[1], masks[name])
    assert load(miniature, "val", augmented=True).names == VOC["val"]


def test_folders_within_the_archives_may_be_given(voc):
    miniature, _ = voc
    inner = {
        "folder": miniature.folder / "VOCdevkit/VOC2012",
        "sbd_folder": miniature.folder / "benchmark_RELEASE/dataset",
    }
    assert len(load(miniature, augmented=True, **inner)) == 4
    inner = {
        "folder": miniature.folder / "VOCdevkit",
        "sbd_folder": miniature.folder / "benchmark_RELEASE",
    }
    assert len(load(miniature, augmented=True, **inner)) == 4


def test_the_split_test_is_refused(voc):
    with pytest.raises(InputError, match="labels of the test split of voc are not public; use the"):
        load(voc[0], "test")


def fault(miniature, kind):
    path = miniature.folder / "benchmark_RELEASE/dataset/cls/2008_000002.mat"
    if kind == "text":
        path.write_text("no MATLAB file")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "short":
        path.write_bytes(path.read_bytes()[:300])
    elif kind == "damaged":
        codes = bytearray(path.read_bytes())
        codes[200:260] = bytes(60)
        path.write_bytes(codes)
    elif kind == "field":
        scipy_io.savemat(path, {"GTinst": {"Segmentation": np.zeros((12, 16))}})
    elif kind == "floats":
        matlab(miniature, "2008_000002", np.full((12, 16), 0.5))
    elif kind == "label":
        matlab(miniature, "2008_000002", np.full((12, 16), 21, np.uint8))
    elif kind == "size":
        matlab(miniature, "2008_000002", np.zeros((16, 12), np.uint8))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", r"2008_000002.mat cannot be read as a mask of SBD"),
        ("empty", r"2008_000002.mat cannot be read as a mask of SBD"),
        ("short", r"2008_000002.mat cannot be read as a mask of SBD"),
        ("damaged", r"2008_000002.mat cannot be read as a mask of SBD"),
        ("field", r"2008_000002.mat cannot be read as a mask of SBD"),
        ("floats", r"2008_000002.mat has no matrix of integers in GTcls.Segmentation"),
        ("label", r"2008_000002.mat has the value 21, .* voc; its values are 0 to 20, 255$"),
        ("size", r"2008_000002.mat has 12 x 16 pixels .*2008_000002.jpg has 16 x 12"),
    ],
)
def test_a_fault_of_a_mask_of_sbd_is_named(voc, kind, message):
    miniature, _ = voc
    pictures = load(miniature, augmented=True)
    fault(miniature, kind)
    with pytest.raises(InputError, match=message):
        pictures.read(2)
    pictures.read(3)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{LISTS}/train.txt", r"the list .*train.txt is missing"),
        ("VOCdevkit/VOC2012/SegmentationClass/2007_000039.png", r"000039.png is missing; get voc"),
        ("benchmark_RELEASE/dataset/img/2008_000003.jpg", r"000003.jpg is missing; get sbd from"),
        ("benchmark_RELEASE/dataset/val.txt", r"the list .*val.txt is missing"),
    ],
)
def test_a_missing_file_is_named(voc, path, message):
    miniature, _ = voc
    (miniature.folder / path).unlink()
    with pytest.raises(InputError, match=message):
        load(miniature, augmented=True)
