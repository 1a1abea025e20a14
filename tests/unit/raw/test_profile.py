"""Camera profiles: what is right loads, what is wrong is named in one sentence."""

from pathlib import Path

import pytest

from edge_pipeline.errors import InputError
from edge_pipeline.raw.noise import NoiseModel
from edge_pipeline.raw.profile import load_profile, parse_profile, profile_names

GOOD: dict[str, object] = {"width": 8, "height": 4, "bits": 10, "cfa": "RGGB"}


def test_the_shipped_profiles_load() -> None:
    assert profile_names() == ["chart_10bit", "dsc_1339"]
    for name in profile_names():
        assert load_profile(name).name == name
    rose = load_profile("dsc_1339")
    assert (rose.black, rose.white, rose.cfa) == ((600, 600, 600, 600), 15520, "RGGB")


def test_defaults() -> None:
    profile = parse_profile(GOOD, "the test")
    assert (profile.packing, profile.white, profile.black) == ("u16le", 1023, (0, 0, 0, 0))
    assert (profile.wb, profile.xyz_to_camera, profile.noise) == (None, None, None)


def test_options_may_be_text() -> None:
    fields = {**GOOD, "black": "1,2,3,4", "wb": "4,2,3", "cfa": "bggr", "white": None}
    profile = parse_profile(fields, "the options")
    assert (profile.black, profile.wb, profile.cfa) == ((1, 2, 3, 4), (2, 1, 1.5), "BGGR")
    assert parse_profile({**GOOD, "black": "16"}, "the options").black == (16, 16, 16, 16)


def test_a_profile_comes_back_from_its_fields() -> None:
    for name in profile_names():
        profile = load_profile(name)
        assert parse_profile(profile.model_dump(), "itself") == profile


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"width": None}, "width is missing"),
        ({"width": None, "bits": None, "cfa": None}, "width, bits and cfa are missing"),
        ({"width": 1}, "width is 1: "),
        ({"width": "wide"}, "width is 'wide': "),
        ({"bits": 17}, "bits is 17: "),
        ({"bits": 12, "packing": "mipi10"}, "packing mipi10 supports 10 bits, got 12"),
        ({"bits": 10, "packing": "u8"}, "packing u8 supports 1 to 8 bits, got 10"),
        ({"packing": "zip"}, "packing is 'zip': "),
        ({"cfa": "RGBG"}, "cfa is 'RGBG': must be one of RGGB, BGGR, GRBG, GBRG"),
        ({"cfa": 7}, "cfa is 7: "),
        ({"black": 1023}, "black level 1023 must be under the white level 1023"),
        ({"black": (1, 2)}, "give one level, or four"),
        ({"black": "1,2,3"}, "give one level, or four"),
        ({"black": "dark"}, "black"),
        ({"white": 2000}, "white level 2000 does not fit into 10 bits"),
        ({"white": float("nan")}, "white"),
        ({"wb": "1,2"}, "three positive multipliers"),
        ({"wb": (1, 0, 1)}, "three positive multipliers"),
        ({"wb": {"r": 1}}, "wb"),
        ({"xyz_to_camera": [[1, 0, 0]]}, "xyz_to_camera"),
        ({"noise": {"a": -1, "b": 0}}, "noise.a is -1: "),
        ({"iso": 100}, "iso is not known; the fields are name, width"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_profile({**GOOD, **fields}, "the test")
    message = str(caught.value)
    assert words in message
    assert message.startswith("camera profile of the test: ")
    assert "\n" not in message


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'width = 8\nheight = 4\nbits = 12\ncfa = "GRBG"\nnoise = {a = 0.01, b = 0.002}\n'
    )
    profile = load_profile(path)
    assert (profile.name, profile.cfa) == ("mine", "GRBG")
    assert profile.noise is not None
    assert profile.noise.model() == NoiseModel(0.01, 0.002)
    words = "'none' ?; expected one of chart_10bit, dsc_1339, or the path"
    with pytest.raises(InputError, match=words):
        load_profile("none")
    with pytest.raises(InputError, match="no camera profile is called"):
        load_profile(tmp_path / "none.toml")
    path.write_text("width = = 8")
    with pytest.raises(InputError, match="is not valid TOML"):
        load_profile(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not valid TOML"):
        load_profile(path)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        load_profile(tmp_path / "folder.toml")
