"""Colour spaces: their matrices and curves, and profiles that Little CMS understands."""

import io
import struct

import colour
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from edge_pipeline.errors import InputError
from edge_pipeline.isp.colour_spaces import COLOUR_SPACES, SRGB, colour_space
from edge_pipeline.isp.icc import icc_profile, srgb_profile
from edge_pipeline.raw.colour import srgb_decode, srgb_encode

WIDE = [space for space in COLOUR_SPACES.values() if space != SRGB]
THEIRS = {
    "srgb": "sRGB",
    "display-p3": "Display P3",
    "adobe-rgb": "Adobe RGB (1998)",
    "linear-rec2020": "ITU-R BT.2020",
}
# Photographic colours inside sRGB, and its greys; not the darkest, which 8 bits cannot hold.
PATCHES = np.stack(np.meshgrid(*[np.arange(40, 256, 24)] * 3), -1).reshape(27, -1, 3)


def named(values):
    return pytest.mark.parametrize("space", values, ids=lambda space: space.name)


def decode(space, encoded):
    if space.curve == "linear":
        return encoded
    return encoded ** (563 / 256) if space.curve == "gamma" else srgb_decode(encoded)


@named(COLOUR_SPACES.values())
def test_primaries_are_those_of_the_standards(space):
    theirs = colour.RGB_COLOURSPACES[THEIRS[space.name]]
    assert [space.red, space.green, space.blue] == pytest.approx(theirs.primaries, abs=1e-9)
    assert space.to_xyz() == pytest.approx(theirs.matrix_RGB_to_XYZ, abs=5e-4)


@named(COLOUR_SPACES.values())
@given(grey=st.floats(0, 1))
def test_greys_stay_grey_and_bright(space, grey):
    assert space.from_srgb() @ np.full(3, grey) == pytest.approx(np.full(3, grey), abs=1e-12)


@named(WIDE)
def test_wide_spaces_contain_srgb(space):
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 3), -1).reshape(-1, 3)
    inside = corners @ space.from_srgb().T
    assert inside.min() > -1e-3
    assert inside.max() < 1 + 1e-3


@named(COLOUR_SPACES.values())
@given(light=st.floats(0, 1))
def test_encoded_light_decodes_to_itself(space, light):
    encoded = space.encode(np.array([light]))
    assert decode(space, encoded)[0] == pytest.approx(light, abs=1e-6)
    assert space.encode(np.array([-1.0, 2.0])) == pytest.approx([0, 1], abs=1e-12)


def to_srgb_by_little_cms(encoded, profile):
    picture = Image.fromarray(encoded.astype(np.uint8))
    return np.asarray(
        ImageCms.profileToProfile(
            picture,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    ).astype(int)


@named(COLOUR_SPACES.values())
def test_little_cms_converts_the_values_to_srgb_as_we_do(space):
    """Within a code. With sRGB's profile (the planted fault) wide spaces are off by 10 or more."""
    linear = srgb_decode(PATCHES / 255) @ space.from_srgb().T
    encoded = np.round(space.encode(linear) * 255)
    back = decode(space, encoded / 255) @ np.linalg.inv(space.from_srgb()).T
    expected = srgb_encode(back) * 255
    got = to_srgb_by_little_cms(encoded, icc_profile(space))
    assert np.abs(got - expected).max() <= 1.01
    if space != SRGB:
        assert np.abs(to_srgb_by_little_cms(encoded, srgb_profile()) - expected).max() > 10


@named([colour_space("display-p3"), colour_space("adobe-rgb")])
def test_8_bits_of_a_wide_space_come_back_within_two_codes(space):
    linear = srgb_decode(PATCHES / 255) @ space.from_srgb().T
    encoded = np.round(space.encode(linear) * 255)
    got = to_srgb_by_little_cms(encoded, icc_profile(space))
    bright = PATCHES.min(axis=-1) >= 112  # a step of a dark channel is several codes elsewhere
    assert np.abs(got - PATCHES)[bright].max() <= 2


@named(WIDE)
def test_profiles_are_complete_and_say_what_they_are(space):
    data = icc_profile(space)
    assert struct.unpack(">I", data[:4])[0] == len(data)
    assert data[36:40] == b"acsp"
    assert len(data) % 4 == 0
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data)).profile
    assert profile.version == pytest.approx(4.4)
    assert (profile.device_class, profile.xcolor_space) == ("mntr", "RGB ")
    assert profile.profile_description == space.title
    assert profile.is_matrix_shaper
    assert profile.media_white_point[0] == pytest.approx((0.9642, 1.0, 0.8249), abs=1e-4)
    assert np.any(np.frombuffer(profile.profile_id, np.uint8))
    # The columns of a matrix with white D50 add up to it.
    total = sum(np.array(c[0]) for c in (profile.red_colorant, profile.green_colorant,
                                         profile.blue_colorant))  # fmt: skip
    assert total == pytest.approx([0.9642, 1, 0.8249], abs=2e-4)


@named(WIDE)
def test_a_profile_gives_the_primaries_back(space):
    """After the adaptation to D50 that the profile states is undone."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile(space))).profile
    undone = np.linalg.inv(np.array(profile.chromatic_adaptation[0]))
    colorants = (profile.red_colorant, profile.green_colorant, profile.blue_colorant)
    for colorant, primary in zip(colorants, (space.red, space.green, space.blue), strict=True):
        xyz = undone @ np.array(colorant[0])
        assert xyz[:2] / xyz.sum() == pytest.approx(primary, abs=3e-4)


def test_names_are_found_in_other_spellings():
    assert colour_space("Display P3").name == "display-p3"
    assert colour_space("ADOBE_RGB").name == "adobe-rgb"
    with pytest.raises(InputError, match="'prophoto'; give one of srgb, display-p3, adobe-rgb, l"):
        colour_space("prophoto")


def test_linear_light_requires_16_bits():
    colour_space("linear-rec2020").check_bits(16)
    colour_space("adobe-rgb").check_bits(8)
    with pytest.raises(InputError, match=r"shows steps with 8 bits per channel; write a \.tiff"):
        colour_space("linear-rec2020").check_bits(8)
