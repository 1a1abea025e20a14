"""Parts of a program run by themselves, and together they are the whole."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
from torch import nn
from torch.export import Dim

from edge_pipeline.compiler.analysis.cutting import cut_at
from edge_pipeline.compiler.program import constants_of, run_program
from edge_pipeline.compiler.source.shapes import Letters, tensors_of
from tests.programs import exported, targets


class Net(nn.Module):
    """A convolution whose weight a second input and a map give, and another result."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.predict = nn.Linear(4, 4 * 4 * 9)
        self.second = nn.Conv2d(4, 4, 1)

    def forward(self, x, signal):
        y = self.first(x).relu()
        weight = self.predict(signal + y.mean((2, 3))).reshape(4, 4, 3, 3)
        return torch.conv2d(self.second(y), weight, padding=1), nn.functional.pixel_shuffle(y, 2)


torch.manual_seed(0)
INPUTS = torch.randn(1, 4, 6, 8), torch.randn(1, 4)
PROGRAM = exported(Net(), *INPUTS)


def node(program, name):
    return next(n for n in program.graph.nodes if n.name == name)


def agree(found, expected):
    assert len(found) == len(expected)
    return all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, expected, strict=True))


@pytest.fixture
def parts():
    """The part that computes the weight, and the one that takes it."""
    weight = node(PROGRAM, "view")
    text = str(PROGRAM.graph)
    both = cut_at(PROGRAM, [weight], given={}), cut_at(PROGRAM, given={weight: "weight"})
    assert str(PROGRAM.graph) == text
    return both


def test_parts_put_together_are_the_whole(parts):
    predictor, path = parts
    filters = run_program(predictor, INPUTS)
    assert agree(run_program(path, (INPUTS[0], *filters)), run_program(PROGRAM, INPUTS))
    # Planted: the path follows the weight that it is given.
    other = run_program(path, (INPUTS[0], filters[0] * 1.001))
    assert not agree(other, run_program(PROGRAM, INPUTS))


def test_inputs_that_nothing_uses_go_only_where_values_are_given(parts):
    predictor, path = parts
    assert predictor.graph_signature.user_inputs == ("x", "signal")
    assert path.graph_signature.user_inputs == ("x", "weight")
    alone = cut_at(PROGRAM, [node(PROGRAM, "conv2d")])
    assert alone.graph_signature.user_inputs == ("x", "signal")
    assert cut_at(PROGRAM, [node(PROGRAM, "conv2d")], given={}).graph_signature.user_inputs == (
        "x",
    )


def test_weights_and_operators_that_nothing_uses_are_gone(parts):
    predictor, path = parts
    assert set(constants_of(path)) == {
        "p_first_weight",
        "p_first_bias",
        "p_second_weight",
        "p_second_bias",
    }
    assert len(constants_of(cut_at(PROGRAM, [node(PROGRAM, "conv2d")]))) == 2
    assert "linear" not in targets(path)
    assert "pixel_shuffle" not in targets(predictor)
    assert {name.split("_")[1] for name in constants_of(predictor)} == {"first", "predict"}


@pytest.mark.parametrize("decomposed", [False, True])
def test_modules_of_parts_take_the_new_inputs(parts, decomposed):
    predictor, path = (part.run_decompositions({}) if decomposed else part for part in parts)
    filters = predictor.module()(*INPUTS)
    assert agree(path.module()(INPUTS[0], *filters), run_program(PROGRAM, INPUTS))


def test_examples_fit_the_inputs(parts):
    for part in parts:
        (examples, named), (inputs, _) = part.example_inputs, tensors_of(part)
        assert named == {}
        assert [x.shape for x in examples] == [x.shape for x in inputs]
        run_program(part, examples)


def test_a_value_that_is_an_output_too_is_passed_through():
    class Both(nn.Module):
        def forward(self, x):
            y = x.relu()
            return y, y * 2

    program = exported(Both(), INPUTS[0])
    part = cut_at(program, given={node(program, "relu"): "y"})
    assert part.graph_signature.user_inputs == ("y",)
    value = torch.randn(1, 4, 6, 8)
    assert agree(run_program(part, (value,)), [value, value * 2])


def test_given_values_of_which_one_follows_from_the_other():
    names = {"relu": "maps", "view": "weight"}
    given = {node(PROGRAM, name): new for name, new in names.items()}
    part = cut_at(PROGRAM, given=given)
    assert part.graph_signature.user_inputs == ("maps", "weight")
    values = torch.randn(1, 4, 6, 8), torch.randn(4, 4, 3, 3)
    found, _ = run_program(part, values)
    held = constants_of(part)
    second = torch.conv2d(values[0], held["p_second_weight"], held["p_second_bias"])
    assert torch.allclose(found, torch.conv2d(second, values[1], padding=1), atol=1e-6)


@pytest.mark.parametrize("decomposed", [False, True])
def test_free_sizes_survive(decomposed):
    h, w = Dim("h", min=2, max=64), Dim("w", min=2, max=64)
    free = ({2: 2 * h, 3: 2 * w}, None)
    whole = torch.export.export(Net().eval(), INPUTS, dynamic_shapes=free).run_decompositions({})
    expected = (1, 4, "2*h", "2*w"), (1, 1, "4*h", "4*w")
    inputs = torch.randn(1, 4, 10, 4), INPUTS[1]
    values = run_program(whole, inputs)
    for name, new in (("view", "weight"), ("relu", "maps")):
        cut = cut_at(whole, given={node(whole, name): new})
        part = cut.run_decompositions({}) if decomposed else cut
        letters, (taken, returned) = Letters.of(part), tensors_of(part)
        assert expected[0] in map(letters.shape, taken)
        assert tuple(map(letters.shape, returned)) == expected
        first = run_program(cut_at(whole, [node(whole, name)], given={}), inputs)
        kept = part.graph_signature.user_inputs
        own = [x for x, n in zip(inputs, ("x", "signal"), strict=True) if n in kept]
        assert agree(run_program(part, (*own, *first)), values)
        assert part.range_constraints == whole.range_constraints
    # The program itself is as free as before.
    assert Letters.of(whole).shape(tensors_of(whole)[0][0]) == expected[0]
