"""A network over a mosaic of any size: tiles change nothing, filters are the whole capture's."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.artifact.manifest import Tile
from edge_pipeline.errors import ArtifactError, InputError, RuntimeFailure
from edge_pipeline.isp import network as network_module
from edge_pipeline.isp.filters import predicted_filters
from edge_pipeline.isp.network import IspSession
from edge_pipeline.isp.tiles import grow
from edge_pipeline.raw.windows import view
from edge_pipeline.runtime.base import open_session
from tests.fakes.artifacts import FILTER, make_artifact, predict_filters
from tests.fakes.mosaics import assemble, some_mosaic
from tests.selection import examples

FORMS = ("split", "folded", "refolded")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def free(folder):
    return {form: make_artifact(folder / form, filters=form) for form in FORMS}


@pytest.fixture(scope="module")
def fixed(folder):
    return {
        form: make_artifact(folder / f"fixed_{form}", filters=form, size=(64, 80))
        for form in (*FORMS, "dynamic")
    }


sizes = st.integers(2, 420)


@examples(20)
@given(height=sizes, width=sizes, form=st.sampled_from(FORMS))
def test_tiles_give_what_the_whole_picture_gives(free, height, width, form):
    mosaic = some_mosaic(height, width)
    with (
        IspSession(free[form], threads=1) as whole,
        IspSession(free[form], threads=1, largest=48) as tiled,
    ):
        filters = whole.filters(mosaic)
        expected = assemble(whole, mosaic, filters)
        np.testing.assert_allclose(assemble(tiled, mosaic, filters), expected, rtol=0, atol=1e-6)


@examples(20)
@given(height=sizes, width=sizes, form=st.sampled_from(FORMS))
def test_a_compiled_size_gives_what_free_sizes_give(free, fixed, height, width, form):
    mosaic = some_mosaic(height, width)
    with IspSession(free[form], threads=1) as whole, IspSession(fixed[form], threads=1) as tiled:
        filters = whole.filters(mosaic)
        got = assemble(tiled, mosaic, filters)
        expected = assemble(whole, mosaic, filters)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


@examples(10)
@given(seed=st.integers(0, 99), darker=st.floats(0.1, 1), largest=st.sampled_from([48, 1024]))
def test_a_refolded_network_gives_what_a_split_one_gives(free, seed, darker, largest):
    mosaic = np.float32(darker) * some_mosaic(96, 128, seed)
    with (
        IspSession(free["split"], threads=1, largest=largest) as split,
        IspSession(free["refolded"], threads=1, largest=largest) as refolded,
    ):
        expected, got = assemble(split, mosaic), assemble(refolded, mosaic)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
        # One network serves one capture after another.
        expected, got = assemble(split, mosaic[:64] / 2), assemble(refolded, mosaic[:64] / 2)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_programs_of_a_refolded_network_are_opened_once_a_capture(free, monkeypatch):
    opened = []
    monkeypatch.setattr(
        network_module,
        "open_session",
        lambda artifact, program, **how: (
            opened.append((program, sorted(how.get("constants") or {})))
            or open_session(artifact, program, **how)
        ),
    )
    mosaic = some_mosaic(128, 128)
    with IspSession(free["refolded"], threads=1, largest=48) as network:
        assert opened == [("predict_filters", [])]
        for _ in range(2):
            assemble(network, mosaic)
    assert opened == [("predict_filters", []), ("forward", [FILTER])] * 2


@pytest.mark.parametrize("form", ["split", "refolded"])
def test_the_predictor_is_closed_before_tiles_are_computed(free, monkeypatch, form):
    sessions = []

    def remembered(artifact, program, **how):
        sessions.append((program, open_session(artifact, program, **how)))
        return sessions[-1][1]

    monkeypatch.setattr(network_module, "open_session", remembered)
    mosaic = some_mosaic(128, 128)
    with IspSession(free[form], threads=1, largest=48) as network:
        for _ in range(2):
            filters = network.filters(mosaic)
            closed = [one for program, one in sessions if program == "predict_filters"][-1]
            with pytest.raises(RuntimeFailure, match="closed"):
                closed.run({})
            assert all(value.base is None for value in filters.values())
            list(network.cores(mosaic, filters))


def test_an_unused_predictor_is_closed_with_its_network(free, monkeypatch):
    sessions = {}
    monkeypatch.setattr(
        network_module,
        "open_session",
        lambda artifact, program, **how: sessions.setdefault(
            program, open_session(artifact, program, **how)
        ),
    )
    IspSession(free["refolded"], threads=1).close()
    with pytest.raises(RuntimeFailure, match="closed"):
        sessions["predict_filters"].run({})


@pytest.mark.parametrize(("halo", "count"), [(16, 2), (80, 1)])
def test_windows_grow_with_a_large_halo(free, halo, count):
    manifest = free["split"].manifest
    tile = manifest.tile.model_copy(update={"halo": halo})
    artifact = replace(free["split"], manifest=manifest.model_copy(update={"tile": tile}))
    mosaic = some_mosaic(64, 960)
    with IspSession(artifact, threads=1) as network:
        assert len(list(network.cores(mosaic, network.filters(mosaic)))) == count


def test_filters_that_do_not_fit_are_refused(free):
    with IspSession(free["refolded"], threads=1) as network, pytest.raises(InputError, match="3x3"):
        list(network.cores(some_mosaic(64, 64), {FILTER: np.zeros((1, 12, 4, 1, 1), np.float32)}))


class Blurring:
    """A network of zero padding whose 5 x 5 mean spoils borders, in the place of a compiled one."""

    def __init__(self):
        self.sizes = []

    def run(self, inputs):
        (packed,) = inputs["packed"]
        self.sizes.append(packed.shape[1:])
        padded = np.pad(packed, ((0, 0), (2, 2), (2, 2)))
        high, wide = packed.shape[1:]
        taps = [padded[:, i : i + high, j : j + wide] for i in range(5) for j in range(5)]
        mean = np.mean(taps, axis=0)[[0, 1, 3]]
        return {"rgb": mean.repeat(2, 1).repeat(2, 2)[None].astype(np.float32)}

    def __enter__(self):
        return self

    def __exit__(self, *_ending):
        return None


@pytest.mark.parametrize("form", ["folded", "dynamic"])
def test_borders_are_as_good_as_the_inside(monkeypatch, folder, form):
    """A flat mosaic stays flat to its last pixel; without a margin, zeros would darken it."""
    blurring = Blurring()
    monkeypatch.setattr(network_module, "open_session", lambda *_args, **_named: blurring)
    mosaic = np.full((96, 64), 0.5, np.float32)
    for halo, spoilt in ((16, False), (None, True)):
        artifact = make_artifact(folder / f"margin_{form}", filters=form, halo=halo, force=True)
        with IspSession(artifact, threads=1) as opened:
            out = assemble(opened, mosaic, {})
        assert (np.abs(out - 0.5).max() > 0.1) == spoilt
    # No more than the margin is computed besides; without one, the mosaic alone.
    assert blurring.sizes == [(48 + 32, 32 + 32), (48, 32)]


def test_what_a_border_shows_is_what_the_reflected_capture_shows_inside(free):
    mosaic = some_mosaic(100, 140)
    around = np.pad(mosaic, 64, mode="reflect")
    with IspSession(free["split"], threads=1) as opened:
        filters = opened.filters(mosaic)
        got = assemble(opened, mosaic, filters)
        inner = assemble(opened, around, filters)[:, 64:-64, 64:-64]
    np.testing.assert_allclose(got, inner, rtol=0, atol=1e-6)


def test_filters_are_predicted_on_one_view_of_the_whole_capture(free):
    mosaic = some_mosaic(1500, 300)
    with IspSession(free["split"], threads=1) as opened:
        got = opened.filters(mosaic)[FILTER]
    np.testing.assert_allclose(got, predict_filters(view(mosaic, (512, 150))), rtol=1e-5)


def test_a_predictor_for_one_size_gets_a_view_of_that_size(free, fixed):
    for mosaic in (some_mosaic(30, 20), some_mosaic(500, 500)):
        with IspSession(fixed["split"], threads=1) as opened:
            got = opened.filters(mosaic)[FILTER]
        expected = predict_filters(view(grow(mosaic, 128, 160), (64, 80)))
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_dynamic_filters_run_a_picture_that_fits_in_one_piece(fixed):
    with IspSession(fixed["dynamic"], threads=1) as opened:
        assert assemble(opened, some_mosaic(100, 160)).shape == (3, 128, 160)


def test_dynamic_filters_refuse_a_picture_that_does_not_fit(fixed):
    with (
        IspSession(fixed["dynamic"], threads=1) as opened,
        pytest.raises(InputError, match=r"128 x 160 pixels .* 160 x 160; .*split or folded"),
    ):
        assemble(opened, some_mosaic(130, 160))


def test_dynamic_filters_of_free_size_take_the_whole_picture_in_one_run(folder):
    artifact = make_artifact(folder / "dynamic", filters="dynamic")
    with IspSession(artifact, threads=1, largest=48) as opened:
        assert len(list(opened.cores(some_mosaic(400, 500), {}))) == 1


def test_windows_without_room_between_halos_are_refused(folder):
    artifact = make_artifact(folder / "narrow", filters="folded", size=(32, 32))
    with (
        IspSession(artifact, threads=1) as opened,
        pytest.raises(InputError, match="leaves no core"),
    ):
        assemble(opened, some_mosaic(200, 200))


def test_a_network_of_another_scale_is_refused(free):
    manifest = free["folded"].manifest
    scaled = manifest.model_copy(update={"tile": Tile(stride=16, halo=16, scale=1)})
    artifact = type(free["folded"])(free["folded"].folder, scaled, "0" * 64)
    with pytest.raises(ArtifactError, match="has an output scale of 1 for packed input"):
        IspSession(artifact, threads=1)


@pytest.mark.parametrize("form", ["split", "folded"])
def test_values_that_are_not_finite_stop_the_work(free, form):
    mosaic = np.full((64, 64), np.nan, np.float32)
    with IspSession(free[form], threads=1) as opened, pytest.raises(RuntimeFailure, match="finite"):
        assemble(opened, mosaic)


def test_predicted_filters_takes_captures_smaller_than_a_view(free):
    class Seen:
        def run(self, inputs):
            self.shape = inputs["packed"].shape
            return {FILTER: np.ones((1, 12, 4, 3, 3), np.float32)}

    seen = Seen()
    spec = free["split"].program("predict_filters")
    predicted_filters(seen, spec, some_mosaic(64, 96))
    assert seen.shape == (1, 4, 32, 48)
