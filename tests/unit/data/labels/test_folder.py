"""A user's own folder, and the checks that all labelled data sets share."""

import pickle  # noqa: TID251 - as processes that load samples use it

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.data.labelled import IGNORED, load_labelled
from edge_pipeline.errors import InputError, UnknownNameError
from edge_pipeline.registry import LABELLED_SETS

NAMES = [f"{index:02}" for index in range(6)]
ALL = (1, 0, 0)


@pytest.fixture
def own(miniature):
    """Six pictures with three labels; returns the options and the masks."""
    masks = {}
    for name in NAMES:
        miniature.picture(f"images/{name}.png")
        masks[name] = miniature.mask(f"masks/{name}.png", [0, 1, 2])
    options = {
        "folder": miniature.folder,
        "licence": "CC0",
        "labels": ("ground", "tree", "house"),
        "shares": ALL,
    }
    return options, masks


def load(options, split="train", **more):
    return load_labelled("folder", split, {**options, **more})


def test_pictures_and_masks_are_read_lazily_and_exactly(own, miniature):
    options, masks = own
    pictures = load(options)
    assert pictures.names == NAMES
    assert len(pictures) == 6
    assert (pictures.name, pictures.licence, pictures.channels) == ("set", "CC0", 3)
    assert pictures.labels == ("ground", "tree", "house")
    assert pictures.background
    for index, name in enumerate(NAMES):
        picture, mask = pictures.read(index)
        codes = np.asarray(Image.open(miniature.folder / f"images/{name}.png"))
        assert picture.dtype == np.float32
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(np.round(picture * 255), codes.transpose(2, 0, 1))
        np.testing.assert_array_equal(mask, masks[name])


def test_the_pictures_travel_to_other_processes(own):
    pictures = load(own[0])
    again = pickle.loads(pickle.dumps(pictures))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(again.read(2)[1], pictures.read(2)[1])


def test_splits_have_each_picture_once_whatever_the_order_of_files(own, miniature):
    options = own[0] | {"shares": (0.4, 0.3, 0.3)}
    splits = [load(options, split).names for split in ("train", "val", "test")]
    assert sorted(name for names in splits for name in names) == NAMES
    for name in reversed(NAMES):  # the order in which the folder lists them
        path = miniature.folder / f"images/{name}.png"
        codes = path.read_bytes()
        path.unlink()
        path.write_bytes(codes)
    assert [load(options, split).names for split in ("train", "val", "test")] == splits
    miniature.picture("images/another.png")
    miniature.mask("masks/another.png", [0])
    for split, names in zip(("train", "val", "test"), splits, strict=True):
        assert [name for name in load(options, split).names if name != "another"] == names


def test_own_splits_are_folders(own, miniature):
    options = own[0]
    for split, name in [("train", "a"), ("val", "b"), ("val", "c")]:
        miniature.picture(f"{split}/images/{name}.jpg")
        miniature.mask(f"{split}/masks/{name}.png", [0, 1, 2])
    assert load(options, "train").names == ["a"]
    assert load(options, "val").names == ["b", "c"]
    with pytest.raises(InputError, match=r"the folder .*test/images is missing"):
        load(options, "test")


@pytest.mark.parametrize("values", [(0, 1), (0, 255)])
def test_two_labels_are_0_and_1_or_0_and_255(miniature, values):
    miniature.picture("images/a.png")
    codes = miniature.mask("masks/a.png", values)
    options = {"folder": miniature.folder, "licence": "x", "labels": ("no", "yes"), "shares": ALL}
    np.testing.assert_array_equal(load(options).read(0)[1], codes > 0)


def test_two_labels_with_1_and_255_are_ambiguous(miniature):
    miniature.picture("images/a.png")
    codes = miniature.mask("masks/a.png", (0, 1, 255))
    options = {"folder": miniature.folder, "licence": "x", "labels": ("no", "yes"), "shares": ALL}
    with pytest.raises(InputError, match="give ignored: 255"):
        load(options).read(0)
    mask = load(options, ignored=255).read(0)[1]
    np.testing.assert_array_equal(mask, codes)
    assert (mask == IGNORED).any()


def test_an_ignored_value_may_be_any(own, miniature):
    codes = miniature.mask("masks/00.png", [0, 1, 2, 77])
    with pytest.raises(InputError, match="value 77"):
        load(own[0]).read(0)
    mask = load(own[0], ignored=77).read(0)[1]
    np.testing.assert_array_equal(mask == IGNORED, codes == 77)
    np.testing.assert_array_equal(mask[codes != 77], codes[codes != 77])


def test_palettes_are_read_as_indices(own, miniature):
    codes = miniature.mask("masks/00.png", [0, 1, 2], palette=True)
    np.testing.assert_array_equal(load(own[0]).read(0)[1], codes)


@pytest.mark.parametrize("mode", ["1", "I;16", "RGB", "RGBA", "LA"])
def test_masks_of_other_modes_have_the_same_labels(own, miniature, mode):
    codes = np.resize(np.array([0, 1], np.uint8), (12, 16))
    if mode == "1":
        image = Image.fromarray(codes * 255).convert("1")
    elif mode == "I;16":
        image = Image.fromarray(codes.astype(np.uint16))
    else:
        image = Image.fromarray(codes).convert(mode)
    miniature.write("masks/00.png", image)
    np.testing.assert_array_equal(load(own[0]).read(0)[1], codes)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "I"])
def test_pictures_of_other_modes_have_three_channels(own, miniature, mode):
    grey = np.arange(192, dtype=np.uint8).reshape(12, 16)
    if mode in ("I;16", "I"):
        image = Image.fromarray(grey.astype(np.uint16 if mode == "I;16" else np.int32) * 257)
    else:
        image = Image.fromarray(grey).convert(mode)
    (miniature.folder / "images/00.png").unlink()
    miniature.write("images/00.tif", image)
    picture = load(own[0]).read(0)[0]
    np.testing.assert_allclose(picture, np.repeat(grey[None] / 255, 3, axis=0), atol=1e-6)


def test_files_of_the_system_are_skipped(own, miniature):
    for name in ("images/._00.png", "masks/.DS_Store", "images/Thumbs.db"):
        (miniature.folder / name).write_bytes(b"system")
    assert load(own[0]).names == NAMES


def fault(own, miniature, kind):
    """Plant a fault in the first sample."""
    mask, picture = miniature.folder / "masks/00.png", miniature.folder / "images/00.png"
    if kind == "size":
        miniature.mask("masks/00.png", [0, 1], size=(10, 16))
    elif kind == "label":
        miniature.mask("masks/00.png", [0, 3])
    elif kind == "wide label":
        miniature.write("masks/00.png", Image.fromarray(np.full((12, 16), 300, np.uint16)))
    elif kind == "colour":
        miniature.picture("masks/00.png")
    elif kind == "floats":
        picture.unlink()
        values = np.full((12, 16), 0.5, np.float32)
        miniature.write("images/00.png", Image.fromarray(values), format="TIFF")
    elif kind == "wide":
        values = np.full((12, 16), 70000, np.int32)
        miniature.write("images/00.png", Image.fromarray(values), format="TIFF")
    elif kind == "text":
        picture.write_text("no picture")
    elif kind == "short":
        mask.write_bytes(mask.read_bytes()[:60])
    elif kind == "gone":
        mask.unlink()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("size", r"mask .*masks/00.png has 16 x 10 pixels .*images/00.png has 16 x 12"),
        ("label", r"mask .*masks/00.png has the value 3, .* its values are 0 to 2$"),
        ("wide label", r"has the value 300, .* its values are 0 to 2$"),
        ("colour", r"mask .*masks/00.png is in colour"),
        ("floats", r"images/00.png has values of 32 bits"),
        ("wide", r"images/00.png has values of 32 bits"),
        ("text", r"images/00.png cannot be read as a picture"),
        ("short", r"masks/00.png cannot be read as a picture"),
        ("gone", r"the file .*masks/00.png is missing"),
    ],
)
def test_a_fault_is_named_with_its_file_and_hits_one_sample_only(own, miniature, kind, message):
    pictures = load(own[0])
    fault(own, miniature, kind)
    with pytest.raises(InputError, match=message):
        pictures.read(0)
    pictures.read(1)


def test_a_picture_beyond_the_limit_of_pillow_is_refused(own, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 90)
    with pytest.raises(InputError, match=r"images/00.png has more than 180 pixels; cut it into"):
        load(own[0]).read(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "masks/00.png").unlink(), r"picture .*00.png has no mask; add .*00.png"),
        (lambda f: (f / "images/00.png").unlink(), r"the mask .*00.png has no picture 00 in"),
        (lambda f: (f / "images/00.jpg").write_bytes(b""), r"have the same name; keep one"),
        (lambda f: (f / "masks").rename(f / "labels"), r"the folder .*masks is missing"),
    ],
)
def test_a_folder_whose_files_do_not_pair_is_refused(own, miniature, change, message):
    change(miniature.folder)
    with pytest.raises(InputError, match=message):
        load(own[0])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": ("one",)}, "labels"),
        ({"labels": ("one", "one")}, "not distinct"),
        ({"ignored": 256}, "ignored"),
        ({"shares": (0.5, 0.2, 0.2)}, "whose sum is 1"),
        ({"licence": None}, "licence"),
        ({"colour": True}, "colour"),
        ({"folder": "nowhere"}, "nowhere is not a folder"),
    ],
)
def test_options_that_are_not_valid_are_refused(own, more, message):
    with pytest.raises(InputError, match=message):
        load(own[0], **more)


def test_an_empty_split_and_unknown_names_are_refused(own):
    with pytest.raises(InputError, match="the split test of the data set folder contains no pic"):
        load(own[0], "test")
    with pytest.raises(InputError, match="no split is called 'valid'; choose from train, val, tes"):
        load(own[0], "valid")
    with pytest.raises(UnknownNameError, match="no labelled data set is called 'cats'"):
        load_labelled("cats", "train", {})


@pytest.mark.parametrize("name", [n for n in LABELLED_SETS.names() if n != "folder"])
def test_a_set_that_is_not_here_is_refused_with_its_home(name, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGE_PIPELINE_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"fetch it with|get it from https?://"):
        load_labelled(name, "train", {})
    with pytest.raises(InputError, match=r"missing is not a folder; get .* from https?://"):
        load_labelled(name, "train", {"folder": tmp_path / "missing"})


def test_a_mask_that_is_a_jpeg_is_refused_whatever_its_name_is(own, miniature):
    codes = np.ones((12, 16), np.uint8)
    miniature.write("masks/00.png", Image.fromarray(codes), format="JPEG")
    with pytest.raises(InputError, match=r"mask .*masks/00.png is a JPEG file, .* save masks as"):
        load(own[0]).read(0)


@pytest.mark.parametrize(("orientation", "refused"), [(1, False), (3, True), (6, True)])
def test_a_picture_with_an_orientation_is_refused(own, miniature, orientation, refused):
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(np.zeros((12, 16, 3), np.uint8))
    miniature.write("images/00.png", image, exif=exif)
    if refused:
        with pytest.raises(InputError, match=rf"00.png has the EXIF orientation {orientation}, "):
            load(own[0]).read(0)
    else:
        assert load(own[0]).read(0)[0].shape == (3, 12, 16)
