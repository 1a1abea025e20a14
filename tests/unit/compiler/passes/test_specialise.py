"""Weights that fixed values determine are constants, whatever computes them."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.passes.specialise import Specialise, specialised_weights
from edge_pipeline.compiler.program import constants_of, layer_of, run_program
from edge_pipeline.models.base import build_model
from tests.phi import loud, ordinary, under_network
from tests.programs import exported, run_checked, targets
from tests.selection import examples

SMALL = {"encoder": "4-6-8", "decoder": "5-3", "out_channels": 2}
X = torch.rand(1, 3, 12, 17, generator=torch.Generator().manual_seed(0))


class At(nn.Module):
    """A network of a number, at one number."""

    def __init__(self, network, value=0.35):
        super().__init__()
        self.network, self.value = network, value

    def forward(self, x):
        return self.network(x, self.value)


def run(phi=0.35, options=SMALL):
    model = loud(build_model("phi_unet_pets", options))
    program = exported(At(model, phi), X)
    return model, program, run_checked(Specialise(), program, X)


def test_the_hypernetwork_disappears_with_its_parameters():
    model, before, result = run()
    assert any("hypernetwork" in name for name in before.state_dict)
    assert not any("hypernetwork" in str(node.meta) for node in result.program.graph.nodes)
    assert "linear" in targets(before)
    assert not result.program.state_dict
    held = sum(value.numel() for value in constants_of(result.program).values())
    assert held == sum(w.numel() for w in model.hypernetwork(torch.tensor([0.35])).values())


def test_operators_are_those_of_the_unet_with_ordinary_weights():
    model, _, result = run()
    plain = ordinary(model, SMALL, 0.35)
    program = exported(At(plain), X)
    assert targets(result.program) == targets(program)
    calls = [
        [
            (n.target, torch.fx.node.map_arg(n.args, lambda _: "tensor"))
            for n in p.graph.nodes
            if n.op == "call_function"
        ]
        for p in (result.program, program)
    ]
    assert calls[0] == calls[1]
    assert torch.equal(run_program(result.program, [X])[0], plain(X, 0.35))


def test_each_constant_is_called_after_the_layer_that_takes_it():
    model, _, result = run()
    weights = under_network(model.hypernetwork(torch.tensor([0.35])))
    constants = constants_of(result.program)
    assert set(constants) == {"c_fixed_" + name.replace(".", "_") for name in weights}
    found = specialised_weights(result.program)
    assert list(found) == list(weights)
    for name, value in weights.items():
        assert torch.equal(found[name], value)
        assert any(f"computed {name} from fixed values" in note for note in result.notes)
    convolutions = [n for n in result.program.graph.nodes if "conv2d" in str(n.target)]
    assert layer_of(convolutions[0]) == "network.encoder0.0"


@given(phi=st.integers(1, 60).map(lambda n: n / 100), align=st.booleans())
@examples(10)
def test_any_phi(phi, align):
    _, _, result = run(phi, {**SMALL, "align_corners": align})
    assert "linear" not in targets(result.program)


def test_a_network_without_computed_weights_stays():
    plain = build_model("phi_unet_pets", {**SMALL, "hyper": False})
    for network in (plain, lambda x, value: (x * value).relu()):
        result = run_checked(Specialise(), exported(At(network), X), X)
        assert not result.modified
        assert specialised_weights(result.program) == {}


class Twice(nn.Module):
    """One layer uses two weights, however the number comes into them."""

    def __init__(self):
        super().__init__()
        self.base = nn.Parameter(torch.rand(3, 3, 1, 1))

    def forward(self, x, value):
        first = F.conv2d(x, self.base * value)
        made = torch.tensor([value, 1 - value, value * value]).reshape(3, 1, 1, 1)
        return F.conv2d(first, made, groups=3)


def test_a_number_may_enter_in_any_way():
    network = At(Twice())
    result = run_checked(Specialise(), exported(network, X), X)
    assert targets(result.program) == ["conv2d", "conv2d"]
    found = specialised_weights(result.program)
    names = [layer_of(n) for n in result.program.graph.nodes if n.op == "call_function"]
    assert list(found) == [f"{name}.weight" for name in names]
    assert torch.equal(found[f"{names[0]}.weight"], network.network.base * 0.35)


@pytest.mark.parametrize(
    ("network", "left"),
    [
        (lambda x, value: x + torch.rand(3, 1, 1) * value, ["rand", "mul", "add"]),
        (lambda x, value: x + torch.zeros(1, 3, 12, 17).expand(9, 3, 12, 17).relu() * value, None),
    ],
    ids=["random", "large, of no parameters"],
)
def test_other_tensors_stay_operators(network, left):
    program = exported(At(network), X)
    result = run_checked(Specialise(), program, X) if left is None else Specialise().run(program)
    assert not result.modified
    assert left is None or targets(result.program) == left
