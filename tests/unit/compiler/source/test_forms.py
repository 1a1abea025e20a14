"""Each program's inputs, made from inputs of the network."""

import pytest
import torch
from torch import nn

from edge_pipeline.compiler.source.foreign import foreign_network
from edge_pipeline.compiler.source.forms import form_of
from edge_pipeline.errors import InputError
from edge_pipeline.models.network import Port
from tests.programs import network_of

INPUTS = [(torch.rand(1, 4, 48, 40),), (torch.rand(1, 4, 48, 40),)]
WINDOW = 16


class Greatest(nn.Module):
    """Its weight is the greatest value of each channel of the input."""

    stride, min_size, scale, halo = 1, 1, 1, None
    default_size, free_sizes = (48, 40), True
    inputs = outputs = (Port("packed", 4, "a capture", "packed_bayer_white_balanced"),)

    def forward(self, x):
        return torch.conv2d(x, x.amax((2, 3)).reshape(4, 1, 1, 1), groups=4)


class OfTwo(nn.Module):
    """Its weight is its second input; the path takes only the first."""

    stride, min_size, scale, halo = 1, 1, 1, None
    default_size, free_sizes = (48, 40), False
    inputs = (
        Port("image", 4, "a picture", "features"),
        Port("signal", 4, "a vector", "features", fixed=(1, 4)),
    )
    outputs = (Port("output", 4, "a picture", "features"),)

    def forward(self, x, signal):
        return torch.conv2d(x, (2 * signal).reshape(4, 1, 1, 1), groups=4)


@pytest.fixture(scope="module", params=[False, True])
def form(request):
    network = network_of(Greatest(), INPUTS[0], free_sizes=request.param)
    return form_of(network, "split", (), WINDOW)


def test_a_predictor_sees_windows(form):
    for (x,) in INPUTS:
        (seen,) = form.inputs_of(form.entries[0], (x,))
        assert torch.equal(seen, x[:, :, :WINDOW, :WINDOW])
        assert seen.is_contiguous()


def test_a_path_is_given_whole_inputs_and_the_filters_of_their_windows(form):
    for (x,) in INPUTS:
        whole, weight = form.inputs_of(form.entries[1], (x,))
        assert torch.equal(whole, x)
        assert torch.equal(weight.flatten(), x[:, :, :WINDOW, :WINDOW].amax((2, 3)).flatten())
        # Which the whole input would have made others.
        assert not torch.equal(weight.flatten(), x.amax((2, 3)).flatten())


def test_a_split_network_is_run_with_the_filters_of_a_window(form):
    for (x,) in INPUTS:
        expected = x * x[:, :, :WINDOW, :WINDOW].amax((2, 3), keepdim=True)
        assert torch.allclose(torch.from_numpy(form.run((x,))), expected)


def test_each_program_takes_the_inputs_that_it_needs():
    inputs = torch.rand(1, 4, 48, 40), torch.rand(1, 4)
    form = form_of(network_of(OfTwo(), inputs), "split", (), WINDOW)
    predictor, path = form.entries
    assert [role.name for role in predictor.inputs] == ["signal"]
    assert [role.name for role in path.inputs] == ["image", predictor.outputs[0].name]
    (signal,) = form.inputs_of(predictor, inputs)
    assert torch.equal(signal, inputs[1])
    image, weight = form.inputs_of(path, inputs)
    assert torch.equal(image, inputs[0])
    assert torch.equal(weight.flatten(), 2 * inputs[1].flatten())
    (expected,) = path.run((image, weight))
    assert torch.equal(torch.from_numpy(form.run(inputs)), expected)


def test_a_program_that_is_the_network_takes_its_inputs():
    form = form_of(network_of(Greatest(), INPUTS[0]), "dynamic", ())
    assert form.inputs_of(form.entries[0], INPUTS[1]) is INPUTS[1]


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ("split", "cannot be combined with --filters split"),
        ("dynamic", "requires one fixed number"),
    ],
)
def test_only_fixed_numbers_can_get_other_values_later(filters, words):
    with pytest.raises(InputError, match=words):
        form_of(network_of(Greatest(), INPUTS[0]), filters, (), respecialisable=True)


class Generator(nn.Module):
    """A style decides on the weights, and the map that they convolve is a constant."""

    def __init__(self):
        super().__init__()
        self.constant = nn.Parameter(torch.rand(1, 4, 6, 6))

    def forward(self, style):
        return torch.conv2d(self.constant, style.reshape(4, 1, 1, 1), groups=4)


def test_folding_all_that_depends_on_an_input_is_refused():
    network = foreign_network(Generator(), [torch.rand(1, 4)])
    with pytest.raises(InputError, match="nothing in the network depends on an input"):
        form_of(network, "folded", ())
