"""The Oxford-IIIT Pet data set."""

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.data.labelled import IGNORED, load_labelled
from edge_pipeline.errors import InputError

TRAINED = ["Abyssinian_100", "Abyssinian_101", "beagle_1", "beagle_2", "pug_7", "pug_8"]
TESTED = ["Abyssinian_201", "beagle_32"]


@pytest.fixture
def pets(miniature):
    masks = {}
    for name in TRAINED + TESTED:
        miniature.picture(f"images/{name}.jpg")
        masks[name] = miniature.mask(f"annotations/trimaps/{name}.png", [1, 2, 3])
        (miniature.folder / f"annotations/trimaps/._{name}.png").write_bytes(b"of macOS")
    head = ["#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids"]
    miniature.text("annotations/list.txt", *head, *(f"{n} 1 1 1" for n in TRAINED + TESTED))
    miniature.text("annotations/trainval.txt", *(f"{name} 1 1 1" for name in TRAINED))
    miniature.text("annotations/test.txt", *(f"{name} 1 1 1" for name in TESTED))
    return {"folder": miniature.folder, "validation": 0.4}, masks


def load(options, split="train", **more):
    return load_labelled("oxford_pets", split, {**options, **more})


def test_the_lists_are_the_splits_and_a_part_of_training_validates(pets, miniature):
    options, _ = pets
    names = {split: load(options, split).names for split in ("train", "val", "test")}
    assert names["test"] == TESTED
    assert sorted(names["train"] + names["val"]) == sorted(TRAINED)
    assert names["train"]
    assert names["val"]
    miniature.text("annotations/trainval.txt", *(f"{name} 1 1 1" for name in reversed(TRAINED)))
    assert sorted(load(options, "val").names) == sorted(names["val"])
    assert load(options, "train", validation=0).names == TRAINED[::-1]


@pytest.mark.parametrize(
    ("more", "border"),
    [({}, 1), ({"border": "background"}, 0), ({"border": "ignored"}, IGNORED)],
)
def test_the_border_is_pet_unless_it_is_chosen_otherwise(pets, more, border):
    options, masks = pets
    pictures = load(options, "test", **more)
    assert pictures.labels == ("background", "pet")
    for index, name in enumerate(pictures.names):
        expected = np.array([0, 1, 0, border], np.uint8)[masks[name]]
        np.testing.assert_array_equal(pictures.read(index)[1], expected)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_pictures_of_another_format_than_their_name_says_are_read(pets, miniature, kind):
    grey = np.arange(192, dtype=np.uint8).reshape(12, 16)
    path = miniature.folder / f"images/{TESTED[0]}.jpg"
    Image.fromarray(grey).convert("P").save(path, format=kind)
    picture = load(pets[0], "test").read(0)[0]
    np.testing.assert_array_equal(np.round(picture[1] * 255), grey)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("images/pug_7.jpg", r"images/pug_7.jpg is missing; get oxford_pets from https://"),
        ("annotations/trimaps/pug_7.png", r"trimaps/pug_7.png is missing; get oxford_pets"),
        ("annotations/trainval.txt", r"the list .*trainval.txt is missing"),
    ],
)
def test_a_missing_file_is_named_with_the_home_of_the_set(pets, miniature, path, message):
    (miniature.folder / path).unlink()
    with pytest.raises(InputError, match=message):
        load(pets[0], validation=0)


def test_faults_of_lists_and_trimaps_are_named(pets, miniature):
    options, _ = pets
    miniature.mask(f"annotations/trimaps/{TESTED[0]}.png", [0, 1, 2])
    with pytest.raises(InputError, match=r"has the value 0, .* its values are 1 to 3$"):
        load(options, "test").read(0)
    miniature.text("annotations/test.txt", "beagle_32 1 1 1", "beagle_32 1 1 1")
    with pytest.raises(InputError, match="oxford_pets has 2 pictures called beagle_32"):
        load(options, "test")
    miniature.text("annotations/test.txt", "beagle_32 1")
    with pytest.raises(InputError, match="the line 'beagle_32 1'; each line needs 4 columns"):
        load(options, "test")
    miniature.text("annotations/test.txt")
    with pytest.raises(InputError, match="split test of the data set oxford_pets contains no pic"):
        load(options, "test")
    with pytest.raises(InputError, match="data set oxford_pets: border: "):
        load(options, "test", border="cat")
