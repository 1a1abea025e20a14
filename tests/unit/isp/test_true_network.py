"""The registered network, in torch, over a mosaic: tiles change nothing, trimmed or not."""

import copy

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.isp import network as network_module
from edge_pipeline.isp.network import IspSession
from tests.fakes.artifacts import make_artifact
from tests.fakes.mosaics import assemble, some_mosaic


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("artifacts")


class EagerSession:
    """A session over a torch network, standing for a compiled one."""

    def __init__(self, apply):
        self.apply = apply

    def run(self, inputs):
        return self.apply(inputs)

    def __enter__(self):
        return self

    def __exit__(self, *_ending):
        return None


@pytest.fixture(scope="module")
def unet():
    torch = pytest.importorskip("torch", reason="the network itself needs torch")
    from edge_pipeline.models.base import build_model

    options = {"n_fwd": 8, "n_embed": 4, "n_hid": 8, "head": "shuffle"}
    model = build_model("hyperconv_unet", options, seed=3)
    torch.manual_seed(4)
    with torch.no_grad():
        # A fresh network adds next to nothing to its head's start; this wakes all its layers.
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return torch, model


def eager_program(torch, model, program):
    def run(inputs):
        given = {name: torch.from_numpy(value) for name, value in inputs.items()}
        packed = given.pop("packed")
        with torch.no_grad():
            if program == "predict_filters":
                made = model.predict_filters(packed)
                return {name: value.numpy() for name, value in made.items()}
            return {"rgb": model.apply_filters(packed, given).numpy()}

    return EagerSession(run)


@settings(
    deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(height=st.integers(300, 620), width=st.integers(2, 700), seed=st.integers(0, 9))
def test_tiles_of_the_true_network_are_exact(monkeypatch, folder, unet, height, width, seed):
    """With the registered network and its own halo: float rounding is all that differs."""
    torch, model = unet
    artifact = make_artifact(
        folder / "eager", filters="split", stride=model.stride, halo=model.halo, force=True
    )
    monkeypatch.setattr(
        network_module, "open_session", lambda _a, program, **_: eager_program(*unet, program)
    )
    torch.set_num_threads(1)
    mosaic = some_mosaic(height, width, seed)
    with (
        IspSession(artifact, threads=1) as whole,
        IspSession(artifact, threads=1, largest=224) as tiled,
    ):
        filters = whole.filters(mosaic)
        expected = assemble(whole, mosaic, filters)
        got = assemble(tiled, mosaic, filters)
    scale = np.abs(expected).max()
    assert np.abs(got - expected).max() <= 5e-6 * scale


@pytest.fixture(scope="module")
def trimmed(unet):
    torch, model = unet
    model = copy.deepcopy(model)
    model.trim()
    return torch, model


@settings(
    deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(height=st.integers(300, 620), width=st.integers(2, 700), grain=st.sampled_from([0, 0.4]))
def test_tiles_of_a_trimmed_network_give_the_whole_picture(
    monkeypatch, folder, unet, trimmed, height, width, grain
):
    """Compared with the network that is not trimmed, in one piece."""
    model = trimmed[1]
    plain, cut = (
        make_artifact(
            folder / f"of_margin_{margin}",
            filters="split",
            stride=model.stride,
            halo=model.halo,
            margin=margin,
            force=True,
        )
        for margin in (0, model.margin)
    )
    networks = {plain.folder: unet, cut.folder: trimmed}
    monkeypatch.setattr(
        network_module,
        "open_session",
        lambda artifact, program, **_: eager_program(*networks[artifact.folder], program),
    )
    mosaic = some_mosaic(height, width)
    with (
        IspSession(plain, threads=1) as whole,
        IspSession(cut, threads=1, largest=224) as tiled,
    ):
        filters = whole.filters(mosaic)
        expected = assemble(whole, mosaic, filters, grain)
        got = assemble(tiled, mosaic, filters, grain)
    assert np.abs(got - expected).max() <= 5e-6 * np.abs(expected).max()


def test_a_trimmed_program_of_one_size_refuses_a_capture_that_fills_it(folder):
    artifact = make_artifact(
        folder / "full", filters="dynamic", halo=16, margin=8, size=(64, 80), force=True
    )
    with (
        IspSession(artifact, threads=1) as opened,
        pytest.raises(InputError, match=r"none of the 16 at each edge.*128 x 160.*--trimmed"),
    ):
        list(opened.cores(some_mosaic(128, 160), {}))


def test_a_halo_too_small_for_the_true_network_is_seen(monkeypatch, folder, unet):
    """The planted fault for the tolerance above."""
    artifact = make_artifact(folder / "small", filters="split", halo=16, force=True)
    monkeypatch.setattr(
        network_module, "open_session", lambda _a, program, **_: eager_program(*unet, program)
    )
    mosaic = some_mosaic(600, 64)
    with (
        IspSession(artifact, threads=1) as whole,
        IspSession(artifact, threads=1, largest=64) as tiled,
    ):
        filters = whole.filters(mosaic)
        expected = assemble(whole, mosaic, filters)
        got = assemble(tiled, mosaic, filters)
    assert np.abs(got - expected).max() > 1e-3 * np.abs(expected).max()
