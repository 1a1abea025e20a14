"""Settings and sizes: what is written is read back, anything else is refused by value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.cli.options import parse_phi, parse_settings, parse_size
from edge_pipeline.errors import InputError

KEYS = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
VALUES = st.from_regex(r"[a-zA-Z0-9=.,]{0,8}", fullmatch=True)
SIDES = st.integers(min_value=1, max_value=1 << 16)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_settings_are_read_as_written(settings: dict[str, str]) -> None:
    assert parse_settings(f"{key}={value}" for key, value in settings.items()) == settings


@pytest.mark.parametrize("text", ["", "n_hid", "=64", " =64"])
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write key=value"):
        parse_settings([text])


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="n_hid is given twice"):
        parse_settings(["n_hid=64", "n_hid=32"])


@given(SIDES, SIDES, SIDES)
def test_sizes_are_read_as_written(channels: int, height: int, width: int) -> None:
    assert parse_size(f"{height}x{width}", "HxW") == (height, width)
    assert parse_size(f"{channels}X{height}x{width}", "CxHxW") == (channels, height, width)


@pytest.mark.parametrize(
    "text", ["", "256", "256x", "0x256", "-1x256", "1.5x2", "4x256x256", "²x3"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write HxW, such as 256x256"):
        parse_size(text, "HxW")


@pytest.mark.parametrize("text", ["65537x32", "32x1000000000"])
def test_a_size_that_would_overflow_counts_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"{text} exceeds 65536"):
        parse_size(text, "HxW")


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=5, unique=True))
def test_several_phi_are_read_in_ascending_order(values: list[float]) -> None:
    assert parse_phi(",".join(map(repr, values))) == tuple(sorted(values))


def test_no_phi_is_none() -> None:
    assert parse_phi(None) == ()


@pytest.mark.parametrize("text", ["", "a", "0.2,", "0.2;0.3", "nan", "0.2,inf"])
def test_what_is_no_phi_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a number; write one, as in 0\.35, or several"):
        parse_phi(text)


def test_a_phi_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"has the value 0\.2 twice"):
        parse_phi("0.2,0.3,0.20")
