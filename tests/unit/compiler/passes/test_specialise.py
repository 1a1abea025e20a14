import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.passes.fold_constants import FoldConstants
from edge_pipeline.compiler.passes.specialise import Specialise
from edge_pipeline.compiler.program import constants_of, layer_of, run_program
from edge_pipeline.compiler.source.entries import specialised
from edge_pipeline.errors import CompileError
from edge_pipeline.models.base import build_model
from tests.phi import loud, ordinary
from tests.programs import exported, network_of, run_checked, targets

SMALL = {"encoder": "4-6-8", "decoder": "5-3", "out_channels": 2}
X = torch.rand(1, 3, 12, 17, generator=torch.Generator().manual_seed(0))


class AtPhi(nn.Module):
    """Any network of phi, with phi held as the entries hold it."""

    def __init__(self, network, phi=0.35):
        super().__init__()
        self.network = network
        self.register_buffer("phi", torch.tensor([phi]))

    def forward(self, x):
        return self.network(x, self.phi)


def run(phi=0.35, options=SMALL):
    model = loud(build_model("phi_unet_pets", options))
    program = specialised(network_of(model, (X,)), phi).program
    return model, program, run_checked(Specialise(), program, X)


def test_the_hypernetwork_disappears_with_its_parameters():
    model, before, result = run()
    assert any("hypernetwork" in name for name in before.state_dict)
    assert not any("hypernetwork" in str(node.meta) for node in result.program.graph.nodes)
    assert "linear" in targets(before)
    assert not result.program.state_dict
    held = sum(value.numel() for value in constants_of(result.program).values())
    assert held == sum(w.numel() for w in model.predict_weights(torch.tensor([0.35])).values())


def test_operators_are_those_of_the_unet_with_ordinary_weights():
    model, _, result = run()
    plain = ordinary(model, SMALL, 0.35)
    program = exported(AtPhi(lambda x, _: plain(x, 0.35)), X)
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
    weights = model.predict_weights(torch.tensor([0.35]))
    constants = constants_of(result.program)
    assert set(constants) == {"c_" + name.replace(".", "_") for name in weights}
    for name, value in weights.items():
        assert torch.equal(constants["c_" + name.replace(".", "_")], value)
        assert any(f"computed {name} from phi" in note for note in result.notes)
    convolutions = [n for n in result.program.graph.nodes if "conv2d" in str(n.target)]
    assert layer_of(convolutions[0]) == "encoder0_0"


@given(phi=st.integers(1, 60).map(lambda n: n / 100), align=st.booleans())
@settings(max_examples=10)
def test_any_phi(phi, align):
    _, _, result = run(phi, {**SMALL, "align_corners": align})
    assert "linear" not in targets(result.program)


def test_a_network_without_phi_stays():
    result = run_checked(Specialise(), exported(lambda x: (x * 2).relu(), X), X)
    assert not result.modified


def test_other_constants_are_left_to_their_own_pass():
    scale = nn.Parameter(torch.rand(3, 1, 1))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = scale

        def forward(self, x, phi):
            weight = torch.cat([phi, 1 - phi, phi * phi]).reshape(3, 1, 1)
            return x * weight + self.scale.exp()

    result = run_checked(Specialise(), exported(AtPhi(Network()), X), X)
    assert targets(result.program) == ["mul", "exp", "add"]
    assert targets(FoldConstants().run(result.program).program) == ["mul", "add"]


@pytest.mark.parametrize(
    ("network", "operator"),
    [(lambda x, phi: x * phi, "mul"), (lambda x, phi: x + torch.rand_like(phi.exp()), "rand_like")],
    ids=["phi itself", "random"],
)
def test_what_goes_on_depending_on_phi_is_refused(network, operator):
    with pytest.raises(CompileError, match=rf"{operator}.* depends on phi and cannot"):
        Specialise().run(exported(AtPhi(network), X))
