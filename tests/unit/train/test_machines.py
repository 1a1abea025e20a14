"""Devices and nodes of a training that cannot be used, and errors of one of several processes."""

import json

import pytest
import torch
from lightning_fabric import Fabric

from edge_pipeline.cli.main import main
from edge_pipeline.errors import InputError, JobError
from edge_pipeline.train.exchange import Exchange
from edge_pipeline.train.machines import Machines
from tests.fakes.trainings import discs_recipe, write_discs

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
ADDRESS = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "NODE_RANK": "1"}


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    for name in (*RANKS, *ADDRESS, "TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("machines", "env", "message"),
    [
        (Machines("cpu", 3), {}, "a batch of 4 samples cannot be divided among 3 processes"),
        (Machines("cpu", 2, 3), {}, "a batch of 4 samples cannot be divided among 6 processes"),
        (Machines("cpu", 1, 2), {}, "--nodes 2 requires the environment variable MASTER_ADDR"),
        (
            Machines("cpu", 1, 2),
            {"MASTER_ADDR": "a", "MASTER_PORT": "1"},
            "requires the environment variable NODE_RANK",
        ),
        (Machines("cpu", 1, 2), ADDRESS | {"NODE_RANK": "2"}, "NODE_RANK is '2'; .* from 0 to 1"),
        (Machines("cpu", 1, 2), ADDRESS | {"NODE_RANK": "a"}, "NODE_RANK is 'a'"),
        (Machines("cpu", 1, 2), ADDRESS | {"MASTER_PORT": "0"}, "MASTER_PORT is '0'; .* 65535"),
        (
            Machines("cpu", 2),
            {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4"},
            "torchrun started 4 processes, and 2 devices on 1 nodes are requested",
        ),
        (  # each process would train alone, all of them into the same folder
            Machines("cpu"),
            {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2"},
            "torchrun started 2 processes, and 1 devices on 1 nodes are requested",
        ),
    ],
)
def test_machines_that_do_not_fit_are_one_sentence(monkeypatch, machines, env, message):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        machines.check(4)


@pytest.mark.parametrize("accelerator", ["auto", "cuda"])
def test_more_devices_than_there_are_is_one_sentence(monkeypatch, accelerator):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="2 devices are requested and torch finds 1 here"):
        Machines(accelerator, 2).check(4)
    Machines("cpu", 2).check(4)


def test_machines_that_fit_are_accepted(monkeypatch):
    Machines("cpu", 2).check(4)
    for name, value in ADDRESS.items():
        monkeypatch.setenv(name, value)
    Machines("cpu", 2, 2).check(4)


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_the_first_process_has_the_rank_zero(monkeypatch, name):
    assert Machines("cpu", 2).is_first
    monkeypatch.setenv(name, "1")
    assert not Machines("cpu", 2).is_first
    assert Machines("cpu").is_first  # a single process, whatever started it


def test_a_bad_division_is_refused_before_anything_is_written(tmp_path, capsys):
    recipe = discs_recipe(write_discs(tmp_path / "set"))
    (tmp_path / "r.yaml").write_text(json.dumps(recipe.model_dump(mode="json")))
    words = ["train", str(tmp_path / "r.yaml"), "-o", str(tmp_path / "run"), "--accelerator", "cpu"]
    assert main([*words, "--devices", "3"]) == 2
    assert "error: a batch of 4 samples cannot be divided among 3" in capsys.readouterr().err
    assert main([*words, "--nodes", "2"]) == 2
    assert "error: --nodes 2 requires the environment variable" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


class Two:
    """A Fabric of two processes, the other of which sends `other`, or has ended if None."""

    global_rank, world_size, device = 0, 2, torch.device("cpu")

    def __init__(self, other):
        self.other = other

    def all_reduce(self, value, reduce_op):
        assert reduce_op == "mean"
        if self.other is None:
            raise RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:1234")
        return (value + self.other) / 2

    broadcast = all_reduce


def test_one_process_exchanges_nothing():
    exchange = Exchange(Fabric(accelerator="cpu", devices=1))
    assert exchange.is_first
    assert float(exchange.mean(torch.tensor(3.0))) == 3
    assert (exchange.any(True), exchange.any(False)) == (True, False)
    assert exchange.together(lambda: 5) == 5
    error = JobError("mine")

    def fail():
        raise error

    with pytest.raises(JobError) as caught:
        exchange.together(fail)
    assert caught.value is error


def test_gradients_become_their_means():
    layer = torch.nn.Linear(2, 1)
    layer(torch.tensor([[1.0, 3.0]])).sum().backward()
    Exchange(Two(1.0)).share_gradients([*layer.parameters(), torch.nn.Parameter(torch.ones(1))])
    assert layer.weight.grad.tolist() == [[1, 2]]
    assert layer.bias.grad.tolist() == [1]


def test_the_error_of_another_process_ends_this_one(monkeypatch):
    def gather(found, own):
        found[:] = [own, (2, "mask x has the value 7")]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    with pytest.raises(InputError, match="mask x has the value 7"):
        Exchange(Two(1.0)).together(lambda: 5)
    assert Exchange(Two(0.0)).together(lambda: 5) == 5


def test_the_end_of_another_process_is_one_sentence():
    with pytest.raises(JobError, match="another process of the training has ended") as caught:
        Exchange(Two(None)).mean(torch.tensor(1.0))
    assert "gloo" not in str(caught.value)
