"""Any network in the wrapper: which tensors are predicted, and that nothing else changes."""

import copy

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from edge_pipeline.errors import InputError
from edge_pipeline.models.amortised import Amortised
from edge_pipeline.models.cost import cost_of

SMALL = {"hidden1": 3, "hidden2": 5}
X = torch.rand(2, 3, 9, 11, generator=torch.Generator().manual_seed(0))


class Two(nn.Module):
    """Two convolutions between which the map shrinks, with batch normalisation."""

    def __init__(self, *, bias=True):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=bias)
        self.norm = nn.BatchNorm2d(4)
        self.scale = nn.Parameter(torch.ones(1))
        self.second = nn.Sequential(nn.Conv2d(4, 2, 1))

    def forward(self, x, phi):
        y = self.norm(self.first(x)) * self.scale
        size = [max(1, int(side * phi)) for side in x.shape[2:]]
        return self.second(F.interpolate(y, size))


def by_hand(network, wrapper, phi):
    """A copy of the unwrapped network with the predicted tensors as its parameters."""
    plain = copy.deepcopy(network)
    with torch.no_grad():
        for name, value in wrapper.weights(phi).items():
            plain.get_parameter(name).copy_(value)
    return plain


def wrapped(network, phi_range=(0.0, 1.0), **changes):
    """The wrapper, made of a copy."""
    return Amortised(copy.deepcopy(network), phi_range, **SMALL | changes)


class Of(nn.Module):
    """A network whose map sizes do not depend on phi."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x, phi):
        return self.layers(x)


def twice(one):
    """Two names of one layer."""
    return nn.Sequential(one, nn.ReLU(), one)


def shared():
    """Two convolutions, and a third layer of another class, that have one weight."""
    first, second, third = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1, stride=2), Pointwise()
    second.weight = third.weight = first.weight
    return nn.Sequential(first, second, third)


class Pointwise(nn.Module):
    """A layer that is not a convolution, and has the parameter of one."""

    weight: nn.Parameter

    def forward(self, x):
        return torch.einsum("oiyx,nihw->nohw", self.weight, x)


NETWORKS = {
    "two": Two,
    "without bias": lambda: Two(bias=False),
    "grouped": lambda: Of(nn.Conv2d(3, 6, 3, groups=3)),
    "transposed": lambda: Of(nn.ConvTranspose2d(3, 5, 3, stride=2)),
    "circular": lambda: Of(nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular")),
    "1d": lambda: Of(nn.Flatten(2), nn.Conv1d(3, 4, 5)),
    "3d": lambda: Of(nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 4, 2)),
    "one layer twice": lambda: Of(twice(nn.Conv2d(3, 3, 3, padding=1))),
    "shared weight": lambda: Of(shared()),
    "weight norm": lambda: Of(parametrizations.weight_norm(nn.Conv2d(3, 4, 3))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_wrapper_runs_the_network_with_the_predicted_tensors(name):
    network = NETWORKS[name]().eval()
    wrapper = wrapped(network).eval()
    for phi in (0.2, 0.9, 0.2):
        expected = by_hand(network, wrapper, phi)(X, phi)
        assert torch.equal(wrapper(X, phi), expected)
    assert expected.std() > 0
    assert not any(buffer.numel() for name, buffer in wrapper.named_buffers() if "norm" not in name)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_of_a_convolution_is_predicted_once(name):
    network = NETWORKS[name]()
    kept = {"norm.weight", "norm.bias", "scale"}
    expected = {key: p.shape for key, p in network.named_parameters() if key not in kept}
    wrapper = wrapped(network)
    assert wrapper.hypernetwork.shapes == expected
    left = {key for key, _ in wrapper.network.named_parameters()}
    assert left == {key for key, _ in network.named_parameters()} & kept


@pytest.mark.parametrize("name", NETWORKS)
def test_a_loss_reaches_every_parameter(name):
    wrapper = wrapped(NETWORKS[name]())
    with torch.no_grad():
        for parameter in wrapper.hypernetwork.parameters():
            parameter.add_(0.1)  # else hidden units may be dead, and biases' inputs zero
    wrapper(X, 0.5).square().sum().backward()
    grads = {key: p.grad for key, p in wrapper.named_parameters()}
    assert all(grad is not None for grad in grads.values())
    assert all(grads[f"hypernetwork.hidden.{i}.weight"].any() for i in (0, 2))


@given(
    widths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    dimensions=st.integers(1, 3),
    transposed=st.booleans(),
    bias=st.booleans(),
    depth=st.integers(0, 2),
    phi=st.floats(0.01, 1),
)
def test_any_nesting_of_any_convolutions(widths, dimensions, transposed, bias, depth, phi):
    convolution = getattr(nn, f"Conv{'Transpose' if transposed else ''}{dimensions}d")
    layers, n_in = [], 2
    for width in widths:
        layers += [convolution(n_in, width, 2, bias=bias), nn.ReLU()]
        n_in = width
    network = Of(*layers)
    for _ in range(depth):
        network = Of(network.layers)
    x = torch.rand(1, 2, *[6] * dimensions)
    wrapper = wrapped(network)
    assert torch.equal(wrapper(x, phi), by_hand(network, wrapper, phi)(x, phi))
    assert len(wrapper.hypernetwork.shapes) == len(widths) * (1 + bias)


class Alone(nn.Conv2d):
    """A network that is itself a convolution."""

    def forward(self, x, phi):
        return super().forward(x)


def test_a_network_that_is_a_convolution():
    network = Alone(3, 2, 3)
    wrapper = wrapped(network)
    assert list(wrapper.weights(0.5)) == ["weight", "bias"]
    assert torch.equal(wrapper(X, 0.5), by_hand(network, wrapper, 0.5)(X, 0.5))
    wrapper.rescale_weights()
    with torch.no_grad():
        kernels = [wrapper.hypernetwork(torch.tensor([phi]))["weight"] for phi in (0.0, 0.5, 1.0)]
    assert float(torch.stack(kernels).square().mean()) == pytest.approx(2 / 27, rel=1e-4)
    assert not hasattr(wrapper, "stride")  # the convolution's stride is not that of a `Network`


def test_a_weight_that_layers_share_is_predicted_once_and_stays_shared():
    wrapper = wrapped(Of(shared()))
    assert sorted(wrapper.hypernetwork.shapes) == [
        "layers.0.0.bias",
        "layers.0.0.weight",
        "layers.0.1.bias",
    ]
    weights = wrapper.double().weights(0.3)
    assert weights["layers.0.0.weight"] is weights["layers.0.1.weight"]
    assert weights["layers.0.0.weight"] is weights["layers.0.2.weight"]


def test_types_devices_and_copies():
    wrapper = wrapped(Two()).eval()
    expected = wrapper(X, 0.4)
    assert torch.equal(copy.deepcopy(wrapper)(X, 0.4), expected)
    double = copy.deepcopy(wrapper).double()
    assert double(X.double(), 0.4).dtype == torch.float64
    assert torch.allclose(double(X.double(), 0.4).float(), expected, atol=1e-5)
    assert wrapped(Two().double()).weights(0.4)["first.weight"].dtype == torch.float64
    meta = wrapper.to("meta")
    assert meta(X.to("meta"), 0.4).shape == expected.shape


def test_a_state_dict_has_no_convolution_and_returns_the_same_network():
    one, other = wrapped(Two()), wrapped(Two())
    one.train()(X, 0.4)  # running statistics are part of the state
    state = one.state_dict()
    assert {key for key in state if key.startswith("network.")} == {
        "network.scale",
        *(f"network.norm.{key}" for key in one.network.norm.state_dict()),
    }
    other.load_state_dict(safetensors.torch.load(safetensors.torch.save(state)))
    assert torch.equal(other.eval()(X, 0.7), one.eval()(X, 0.7))


def test_training_mode_reaches_the_network_and_statistics_stay():
    wrapper = wrapped(Two())
    before = wrapper.network.norm.running_mean.clone()
    wrapper.eval()(X, 0.5)
    assert torch.equal(wrapper.network.norm.running_mean, before)
    wrapper.train()(X, 0.5)
    assert not torch.equal(wrapper.network.norm.running_mean, before)
    assert wrapper.network.norm.num_batches_tracked == 1


def test_it_learns():
    torch.manual_seed(0)
    wrapper = wrapped(Two(), hidden1=10)
    optimiser = torch.optim.Adam(wrapper.parameters(), 1e-2)
    losses = []
    for step in range(40):
        out = wrapper(X, (0.4, 0.8)[step % 2])
        loss = F.mse_loss(out, F.interpolate(X, out.shape[2:])[:, :2])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert sum(losses[-2:]) < 0.3 * sum(losses[:2])


def test_cost_of_the_wrapper_is_that_of_the_network():
    network = Two()
    plain = cost_of(network, (1, 3, 9, 11), {"phi": 0.5})
    cost = cost_of(wrapped(network), (1, 3, 9, 11), {"phi": 0.5})
    assert cost.path.macs == plain.macs == 9 * 11 * 27 * 4 + 4 * 5 * 4 * 2
    assert {layer.name for layer in cost.layers if layer.macs and layer.part == "path"} == {
        "network.first",
        "network.second.0",
    }


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Of(nn.Linear(3, 2)), "Of has no convolution to predict weights for"),
        (Of(nn.LazyConv2d(3, 2)), "layers.0 has no sizes yet; run the network once"),
    ],
)
def test_a_network_that_cannot_be_wrapped_stays_as_it_is(network, words):
    names = [name for name, _ in network.named_parameters()]
    with pytest.raises(InputError, match=words):
        Amortised(network)
    assert [name for name, _ in network.named_parameters()] == names


@pytest.mark.parametrize("phi", [0.1, 0.9, 0, float("nan"), "0.3-0.4", (0.3, 0.4, 0.5), None, X])
def test_a_phi_that_the_wrapper_was_not_built_for_is_refused(phi):
    with pytest.raises(InputError, match="phi="):
        wrapped(Two(), (0.2, 0.8)).weights(phi)


def test_separate_factors_are_separate_inputs():
    wrapper = wrapped(Two(), factors=2)
    assert wrapper.hypernetwork.hidden[0].in_features == 4
    text, pair = wrapper.weights("0.3-0.5"), wrapper.weights((0.3, 0.5))
    assert all(torch.equal(text[name], pair[name]) for name in text)

    def first(phi):
        return wrapper.weights(phi)["first.weight"]

    assert torch.equal(first(0.3), first((0.3, 0.3)))
    assert not torch.equal(first("0.3-0.5"), first("0.5-0.3"))
