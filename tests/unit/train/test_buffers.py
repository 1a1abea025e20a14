"""Networks whose buffers are trained, too: the statistics of batch normalisation are kept."""

import copy

import pytest
import safetensors.torch
import torch

from edge_pipeline.errors import InputError
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.registry import MODELS
from edge_pipeline.train import loop
from edge_pipeline.train.loop import train
from edge_pipeline.train.machines import Machines
from tests.fakes.trainings import CPU, discs_recipe, write_discs

STATISTICS = "network.encoder0.1.running_mean"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Makes a recipe of a network with batch normalisation."""
    monkeypatch.setitem(MODELS._modules, "normed", "tests.fakes.normed_unet")
    discs = write_discs(tmp_path / "discs")

    def make(**optimiser):
        made = discs_recipe(discs, **optimiser)
        return made.model_copy(update={"model": "normed"})

    return make


@pytest.fixture
def trained(monkeypatch):
    """The networks of the trainings of a test, in their order."""
    found, real = [], loop.fresh_state

    def fresh(*arguments):
        state = real(*arguments)
        found.append(state.model)
        return state

    monkeypatch.setattr(loop, "fresh_state", fresh)
    return found


def test_a_checkpoint_computes_what_the_trained_network_computes(recipe, trained, tmp_path):
    path = train(recipe(), tmp_path / "run", machines=CPU)
    loaded = load_checkpoint(path).build()
    (network,) = trained
    image = torch.rand(2, 3, 20, 22)
    with torch.no_grad():
        assert torch.equal(loaded(image, 0.4), copy.deepcopy(network).eval()(image, 0.4))
    assert loaded.get_buffer(STATISTICS).abs().max() > 0.01
    assert int(loaded.get_buffer("network.encoder0.1.num_batches_tracked")) == 6


def test_statistics_are_averaged_as_weights_are(recipe, trained, tmp_path):
    seen = []
    path = train(
        recipe(average=0.5, steps=3),
        tmp_path / "run",
        machines=CPU,
        report=lambda _: seen.append(trained[0].get_buffer(STATISTICS).clone()),
    )
    expected = torch.zeros_like(seen[0])
    for each in seen:
        expected = 0.5 * expected + 0.5 * each
    torch.testing.assert_close(load_checkpoint(path).state[STATISTICS], expected)


def test_a_resumed_training_has_the_same_statistics(recipe, tmp_path):
    whole = train(recipe(average=0.5), tmp_path / "whole", machines=CPU, every=100)

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe(average=0.5), tmp_path / "parts", machines=CPU, every=100, report=stop)
    parts = train(recipe(average=0.5), tmp_path / "parts", resume=True, machines=CPU, every=100)
    first, second = (safetensors.torch.load_file(path) for path in (whole, parts))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_several_processes_are_refused(recipe, trained, tmp_path):
    train(recipe(steps=1), tmp_path / "run", machines=CPU)
    Machines("cpu", 1).check_network("normed", trained[0])
    with pytest.raises(InputError, match=r"normed has batch normalisation.* of the 2 processes"):
        Machines("cpu", 2).check_network("normed", trained[0])
    Machines("cpu", 2).check_network("plain", torch.nn.GroupNorm(1, 2))
