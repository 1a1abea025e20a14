import torch

from edge_pipeline.compiler.analysis.alone import conversion_error
from tests.programs import exported

X = torch.randn(1, 3, 8, 8)


def refusing(*words):
    """A converter that refuses operators with one of these words in their name."""

    def convert(program):
        for node in program.graph.nodes:
            if node.op == "call_function" and any(word in str(node.target) for word in words):
                raise ValueError("a foreign text")

    return convert


def error(function, *words):
    program = exported(function, X)
    return str(conversion_error(program, refusing(*words), (ValueError,), "the converter"))


def test_every_operator_that_fails_alone_is_named():
    text = error(lambda x: torch.sin(x.exp()) + torch.cos(x).exp(), "sin", "cos")
    assert text.startswith("the converter cannot convert 2 operators:\n")
    assert "the converter cannot convert sin; write it" in text
    assert "the converter cannot convert cos; write it" in text
    assert "exp" not in text
    assert "foreign" not in text


def test_equal_operators_are_tried_once():
    tried = []

    def convert(program):
        tried.append(program)
        raise ValueError

    conversion_error(exported(lambda x: x.exp().exp().exp(), X), convert, (ValueError,), "it")
    assert len(tried) == 1


def test_a_program_that_fails_as_a_whole_only_is_said_to():
    assert "although it converts each of its operators alone" in error(torch.exp, "nothing")


def test_a_number_read_from_a_tensor_is_named():
    text = error(lambda x: x[0, x.argmax().item() % 3], "nothing")
    assert "a Python number is read from a tensor; use operators on tensors" in text


def test_constant_operands_stay_constant():
    layer = torch.nn.Conv2d(3, 4, 3)
    seen = []

    def convert(program):
        seen.append(len(program.graph_signature.user_inputs))
        raise ValueError

    conversion_error(exported(layer, X), convert, (ValueError,), "it")
    assert seen == [1]
