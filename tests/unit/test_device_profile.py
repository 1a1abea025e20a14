import pytest

from edge_pipeline.device_profile import DEFAULT_TARGET, load_profile, profile_file, profile_names
from edge_pipeline.errors import InputError
from edge_pipeline.registry import RUNTIMES


def test_every_shipped_profile_is_whole():
    assert DEFAULT_TARGET in profile_names()
    for name in profile_names():
        profile = load_profile(name)
        assert profile.name == name
        assert profile.peaks.gflops > 0


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
