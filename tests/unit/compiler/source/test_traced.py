"""Networks that are no functions of their inputs, or that torch cannot trace."""

import pytest
import torch
from torch import nn

from edge_pipeline.compiler.source.foreign import foreign_network
from edge_pipeline.errors import CompileError, InputError

X = torch.rand(1, 3, 6, 8)


class Own(nn.Module):
    """A module whose `forward` is a function of the module and a picture."""

    def __init__(self, function):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)
        self.register_buffer("count", torch.zeros(()))
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def counted(own, x):
    own.count += 1
    return own.layer(x) * own.count


def branched(own, x):
    if x.mean() > 0.5:
        x = -x
    return own.layer(x)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (counted, r"Own\.forward changes its buffer count in place, and a program keeps no state"),
        (lambda own, x: own.layer(x.mul_(2)), r"changes its input x in place"),
        (lambda own, x: own.layer(x + torch.randn_like(x)), r"randn_like.* draws random numbers; "),
        (branched, r"torch cannot trace Own at test_traced\.py:\d+: Python needs the value"),
        (lambda own, x: own.layer(x).nonzero(), r"an output of Own has a size that depends on val"),
        (
            lambda own, x: torch.cond(x.mean() > 0, torch.sin, torch.cos, (own.layer(x),)),
            r"cond decides at run time what is computed; compile each branch",
        ),
    ],
)
def test_the_reason_is_one_sentence(function, message):
    network = foreign_network(Own(function), [X.clone()])
    with pytest.raises(CompileError, match=message) as caught:
        network.traced()
    assert "\n" not in str(caught.value)


def test_dropout_and_attention_are_not_random_in_eval_mode():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
    assert foreign_network(layer, [torch.rand(1, 4, 8)]).traced()


def test_lazy_layers_are_named():
    with pytest.raises(CompileError, match=r"it has lazy layers, whose weights have no shape yet"):
        foreign_network(nn.Sequential(nn.LazyConv2d(4, 3)), [X]).traced()


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_wrappers_are_taken_off(wrap):
    layer = nn.Conv2d(3, 4, 3)
    assert foreign_network(wrap(layer), [X]).module is layer


def test_modules_that_cannot_be_traced_are_refused():
    with pytest.raises(InputError, match=r"is a ScriptModule, which torch\.export"):
        foreign_network(torch.jit.script(nn.Conv2d(3, 4, 3)), [X])
    with pytest.raises(InputError, match=r"the weights are torch\.float16; convert .* \.float\(\)"):
        foreign_network(nn.Conv2d(3, 4, 3).half(), [X])


class Variadic(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, first, *more, gain=1.0, **rest):
        return self.layer(first + sum(more)) * gain + rest.get("offset", 0.0)


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        ([X], ["first"]),
        ([X, X, X], ["first", "more.0", "more.1"]),
        ({"first": X, "offset": torch.rand(1)}, ["first", "offset"]),
        ({"first": X, "more": [X], "gain": torch.rand(1)}, ["first", "gain", "more.0"]),
    ],
)
def test_any_number_of_arguments_is_possible(inputs, names):
    network = foreign_network(Variadic(), inputs)
    assert [port.name for port in network.geometry.inputs] == names
    expected = network.module(*inputs) if isinstance(inputs, list) else None
    if isinstance(inputs, dict):
        more = inputs.get("more", [])
        rest = {name: value for name, value in inputs.items() if name not in ("first", "more")}
        expected = network.module(inputs["first"], *more, **rest)
    (found,) = network.run(network.example)
    torch.testing.assert_close(found, expected)
    assert network.traced()


def test_fixed_values_go_beside_any_number_of_arguments():
    network = foreign_network(Variadic(), [X, X], fixed={"gain": 2.0})
    (found,) = network.run(network.example)
    torch.testing.assert_close(found, network.module(X, X, gain=2.0))


def test_a_network_that_fails_on_its_example_is_said_to():
    network = foreign_network(nn.Conv2d(4, 2, 3), [X])
    message = r"Conv2d fails on the example inputs \(RuntimeError: .*\); check their shapes, types"
    with pytest.raises(InputError, match=message):
        network.traced()

    def strict(own, x):
        assert x.shape[-1] == 7
        return own.layer(x)

    message = r"Own fails on the example inputs at test_traced\.py:\d+ \(AssertionError"
    with pytest.raises(InputError, match=message):
        foreign_network(Own(strict), [X]).traced()
