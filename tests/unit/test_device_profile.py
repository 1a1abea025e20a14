import pytest

from edge_pipeline.device_profile import DEFAULT_TARGET, load_profile, profile_file, profile_names
from edge_pipeline.errors import InputError
from edge_pipeline.registry import RUNTIMES


def test_every_shipped_profile_is_whole():
    assert DEFAULT_TARGET in profile_names()
    for name in profile_names():
        profile = load_profile(name)
        assert profile.name == name
        assert profile.peaks is None or profile.peaks.gflops > 0


def test_the_runtimes_of_the_default_device_are_registered():
    assert set(load_profile(DEFAULT_TARGET).runtimes) <= set(RUNTIMES.names())


@pytest.mark.parametrize("name", ["abacus", "../x86_epyc", ""])
def test_an_unknown_device_is_named_with_those_there_are(name):
    with pytest.raises(InputError, match=f"no device profile is called '.*{DEFAULT_TARGET}"):
        profile_file(name, "toml")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("cores = 2", "cores = 0"), "an invalid identity.cores"),
        (('transport = "host"', 'transport = "pigeon"'), "an invalid transport"),
        (("cores = 2", "cores ="), "cannot be read"),
        (("gflops", "tflops"), "an invalid peaks.gflops"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, monkeypatch, change, words):
    text = profile_file(DEFAULT_TARGET, "toml").read_text()
    assert change[0] in text
    (tmp_path / "mine.toml").write_text(text.replace(*change))
    monkeypatch.setattr("edge_pipeline.device_profile.packaged", lambda folder: tmp_path)
    with pytest.raises(InputError, match=words):
        load_profile("mine")


def test_the_path_of_a_profile_is_as_good_as_a_name(tmp_path):
    path = tmp_path / "Pixel-8.v2.toml"
    path.write_text(profile_file(DEFAULT_TARGET, "toml").read_text())
    assert load_profile(str(path)).name == "Pixel-8.v2"
    assert profile_file(str(path), "costs.json") == tmp_path / "Pixel-8.v2.costs.json"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.toml", "there is no device profile .*none.toml; .*calibrate-device"),
        ("a b.toml", "must consist of letters"),
    ],
)
def test_a_path_that_cannot_be_a_profile_is_refused(tmp_path, name, words):
    (tmp_path / "a b.toml").touch()
    with pytest.raises(InputError, match=words):
        load_profile(str(tmp_path / name))


def test_costs_that_are_not_times_of_the_device_say_so(tmp_path):
    text = profile_file(DEFAULT_TARGET, "toml").read_text()
    path = tmp_path / "phone.toml"
    path.write_text(text + '\n[costs]\nbasis = "other_device"\nhow = "times of a watch"\n')
    expected = "the costs of convolutions for phone rest on times of a watch"
    assert load_profile(str(path)).costs_note == expected
    assert load_profile(DEFAULT_TARGET).costs_note is None
