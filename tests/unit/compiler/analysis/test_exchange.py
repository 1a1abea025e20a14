import numpy as np
import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
from torch import nn

from edge_pipeline.compiler.analysis.exchange import Exchange, LostMarker
from edge_pipeline.compiler.program import constants_of, run_program
from edge_pipeline.compiler.source.graph import graph_bytes
from tests.programs import exported


class Two(nn.Module):
    """Two convolutions whose biases are equal, as fresh ones often are."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(4, 4, 1)
        for layer in (self.first, self.second):
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        return self.second(self.first(x))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Two().eval()


def weights_of(network):
    return {name: value.detach() for name, value in network.named_parameters()}


def test_each_weight_has_a_mark_of_its_own(network):
    x = torch.rand(1, 3, 8, 8)
    program = exported(network, x)
    exchange = Exchange.of(program, weights_of(network))
    values = [v.numpy() for v in constants_of(exchange.program).values()]
    for name, marker in exchange.markers.items():
        assert sum(v.shape == marker.shape and np.array_equal(v, marker) for v in values) == 1, name
        assert marker.shape == exchange.weights[name].shape
    flat = np.concatenate([marker.ravel() for marker in exchange.markers.values()])
    assert len(np.unique(flat)) == flat.size
    # The program that was given is as it was.
    with torch.no_grad():
        assert torch.equal(run_program(program, [x])[0], network(x))


def test_real_weights_come_where_marks_turn_up(network):
    program = exported(network, torch.rand(1, 3, 8, 8))
    exchange = Exchange.of(program, weights_of(network))
    turned = exchange.markers["first.weight"].transpose(0, 2, 3, 1).tobytes()
    others = b"".join(
        exchange.markers[n].tobytes() for n in exchange.markers if n != "first.weight"
    )
    files = {"model": b"head" + turned + others, "graph": graph_bytes(exchange.program)}
    written, constants = exchange.settle(files, "graph")
    real = weights_of(network)["first.weight"].numpy().transpose(0, 2, 3, 1).tobytes()
    assert written["model"][4 : 4 + len(real)] == real
    assert written["graph"] == graph_bytes(program)
    assert {c.name for c in constants} == set(exchange.weights)
    first = next(c for c in constants if c.name == "first.weight" and c.file == "model")
    assert (first.axes, first.offsets) == ((0, 2, 3, 1), (4,))


def test_a_twin_differs_only_in_the_markers_of_short_weights():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 1, 1)).eval()
    program = exported(network, torch.rand(1, 3, 8, 8))
    exchange = Exchange.of(program, weights_of(network))
    twin = exchange.twin()
    assert [
        name for name in twin.markers if np.any(twin.markers[name] != exchange.markers[name])
    ] == ["1.bias"]
    assert np.all(twin.markers["1.bias"] != exchange.markers["1.bias"])
    held, others = constants_of(exchange.program), constants_of(twin.program)
    changed = [key for key in held if not torch.equal(held[key], others[key])]
    assert [held[key].shape for key in changed] == [(1,)]


def test_without_short_weights_there_is_no_twin(network):
    exchange = Exchange.of(exported(network, torch.rand(1, 3, 8, 8)), weights_of(network))
    assert exchange.twin() is None


def test_a_mark_that_is_lost_is_told(network):
    program = exported(network, torch.rand(1, 3, 8, 8))
    exchange = Exchange.of(program, weights_of(network))
    with pytest.raises(LostMarker, match=r"first\.weight"):
        exchange.settle({"model": b"", "graph": graph_bytes(exchange.program)}, "graph")


def test_a_weight_that_the_program_does_not_hold_is_told(network):
    program = exported(network, torch.rand(1, 3, 8, 8))
    weights = weights_of(network) | {"third.weight": torch.rand(2, 2)}
    with pytest.raises(LostMarker, match=r"third\.weight is not a separate constant"):
        Exchange.of(program, weights)


class Rooted(nn.Module):
    """The root of a constant is a constant too, which exchanging the first would not change."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.tensor([0.3, 0.4, 0.5]).view(1, 3, 1, 1))

    def forward(self, x):
        return (x + self.offset) * torch.sqrt(self.offset)


def test_a_weight_from_which_another_constant_follows_is_told():
    network = Rooted().eval()
    program = exported(network, torch.rand(1, 3, 8, 8))
    with pytest.raises(LostMarker, match="computes another constant from offset"):
        Exchange.of(program, weights_of(network))


def test_marks_of_biases_are_positive_so_that_roots_of_them_stay_finite(network):
    exchange = Exchange.of(exported(network, torch.rand(1, 3, 8, 8)), weights_of(network))
    markers = [exchange.markers, exchange.twin().markers] if exchange.twin() else [exchange.markers]
    for each in markers:
        assert all(marker.min() > 0 for marker in each.values() if marker.ndim == 1)
        assert all(marker.min() < 0 for marker in each.values() if marker.ndim == 4)
