"""The peers are what they are called, and tables and caches keep what they are given."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.isp import cached as caching
from benchmarks.isp.captures import blurred, reference, take
from benchmarks.isp.denoised import stabilise, stabilised_menon_bm3d, unstabilise
from benchmarks.isp.measurements import measure_exposure
from benchmarks.isp.measures import Quality
from benchmarks.isp.networks import from_packed
from benchmarks.isp.peers import demosaicnet, libraw, peers
from benchmarks.isp.tables import noise_table, put_table
from edge_pipeline.data.validation import psnr_db
from edge_pipeline.raw.noise import NOISE_LEVELS, NoiseModel


@pytest.fixture(scope="module")
def picture():
    """Soft shapes whose colours are pale, as in most photographs, [96, 128, 3]."""
    noise = np.random.default_rng(5).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    pale = (0.3 * noise + 0.7 * noise[..., :1]).astype(np.uint8)
    soft = blurred(pale, 2.0).astype(np.float32)
    return np.clip((soft - 128) * 5 + 128, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", list(peers()))
def test_every_peer_develops_a_soft_picture_well(picture, name):
    """A method that mistook the order of the mosaic, or lay a pixel off, would get 26 dB."""
    sample = take(picture, "none", 0)
    got = peers()[name](sample)
    assert got.shape == sample.target.shape
    assert got.dtype == np.float32
    inner = np.s_[:, 8:-8, 8:-8]
    assert psnr_db(got[inner], reference(sample)[inner]) > 31
    lain_off = np.roll(got, 1, axis=2)[inner]
    assert psnr_db(lain_off, reference(sample)[inner]) < 26


def test_libraw_pushes_an_underexposed_capture(picture):
    exposure = measure_exposure({"AHD": libraw("AHD")}, [picture])["AHD"]
    assert abs(exposure.loss_db) < 0.5


def test_demosaicnet_gives_the_picture_of_its_paper_at_any_size(picture):
    small = take(picture[:32, :64], "none", 0)
    assert demosaicnet(small).shape == (3, 32, 64)


@pytest.mark.parametrize("level", ["low", "medium", "high"])
def test_stabilised_noise_has_deviation_one_and_its_mean_comes_back(level):
    noise = NOISE_LEVELS[level]
    rng = np.random.default_rng(1)
    for signal in (0.1, 0.4, 0.8):
        x = signal + np.sqrt(noise.variance(np.array(signal))) * rng.standard_normal(200_000)
        y = stabilise(x, noise)
        assert y.std() == pytest.approx(1, abs=0.06)
        back = unstabilise(np.array(y.mean()), noise)
        assert back == pytest.approx(signal, abs=0.15 * noise.a + 1e-4)
        # The algebraic inverse is too dark by a quarter of a count: the planted fault.
        algebraic = noise.a * (y.mean() ** 2 / 4 - 3 / 8) - noise.b**2 / noise.a
        assert algebraic < back - 0.2 * noise.a


def test_bm3d_takes_noise_away(picture):
    sample = take(picture[:64, :64], "high", 0)
    noisy = psnr_db(peers()["Menon"](sample), reference(sample))
    assert psnr_db(stabilised_menon_bm3d(sample), reference(sample)) > noisy + 4


def test_a_cached_method_computes_a_capture_once_and_another_again(picture, tmp_path):
    calls = []

    def method(sample):
        calls.append(sample)
        return reference(sample)

    kept = caching.cached("perfect", method, tmp_path)
    one, other = take(picture, "low", 0), take(picture, "low", 1)
    first = kept(one)
    np.testing.assert_allclose(kept(one), first, atol=1e-5)
    assert len(calls) == 1
    kept(other)
    kept(take(picture, "none", 0))
    caching.cached("another", method, tmp_path)(one)
    assert len(calls) == 4
    assert kept(one).dtype == np.float32


def test_the_cache_tells_noise_models_apart(picture, tmp_path):
    sample = take(picture, "none", 0)
    kept = caching.cached("x", lambda s: np.full((3, 2, 2), s.noise.b, np.float32), tmp_path)
    assert kept(sample).max() == 0
    assert kept(replace(sample, noise=NoiseModel(0, 0.5))).max() == pytest.approx(0.5, abs=1e-4)


def test_a_table_goes_to_its_place_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- table: noise -->\nold\n<!-- end -->\n"
        "b\n<!-- table: shift -->\nkept\n<!-- end -->\n"
    )
    put_table(page, "noise", "| new |")
    put_table(page, "noise", "| newer |")
    assert page.read_text() == (
        "a\n<!-- table: noise -->\n\n| newer |\n\n<!-- end -->\n"
        "b\n<!-- table: shift -->\nkept\n<!-- end -->\n"
    )
    with pytest.raises(ValueError, match="zipper"):
        put_table(page, "zipper", "| new |")


def test_a_noise_table_is_markdown():
    table = noise_table({"a": {"none": Quality(40.123, 0.98765), "low": Quality(30, 0.5)}})
    assert table.splitlines() == [
        "| sRGB PSNR (dB) / SSIM | none | low |",
        "| --- | --- | --- |",
        "| a | 40.12 / 0.9877 | 30.00 / 0.5000 |",
    ]


def test_a_callable_on_packed_mosaics_is_a_method(picture):
    sample = take(picture, "none", 0)
    seen = []

    def forward(packed):
        seen.append(packed.shape)
        return sample.target

    np.testing.assert_array_equal(from_packed(forward)(sample), reference(sample))
    assert seen == [(4, 48, 64)]
