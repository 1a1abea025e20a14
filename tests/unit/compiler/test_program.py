import pytest
import torch
from torch import nn

from edge_pipeline.compiler.program import Editor, constants_of, layer_of, run_program
from edge_pipeline.errors import CompileError
from tests.programs import exported, targets


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4))

    def forward(self, x):
        return x * self.weight


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Module()
        self.network.first = Inner()

    # `input` is also a Python builtin, which copying a graph renames.
    def forward(self, input):
        return (self.network.first(input) + 1).relu()


@pytest.fixture
def program():
    return exported(Outer(), torch.rand(1, 4))


def call(editor, name):
    return next(n for n in editor.graph.nodes if name in str(n.target) and n.op == "call_function")


def test_a_program_runs_with_its_own_constants(program):
    x = torch.randn(1, 4)
    (found,) = run_program(program, [x])
    assert torch.equal(found, program.module()(x))
    assert [tuple(c.shape) for c in constants_of(program).values()] == [(4,)]


def test_an_editor_that_changes_nothing_gives_the_same_program(program):
    result = Editor(program).finish()
    assert result.program is program
    assert not result.modified


def test_replacing_keeps_the_layer_and_drops_what_is_unused(program):
    editor = Editor(program)
    node = call(editor, "mul")
    editor.replace(node, lambda x: x * 3.0, [node.args[0]], "lost its weight")
    result = editor.finish()
    assert result.notes == ("first: lost its weight",)
    assert not result.program.state_dict
    assert not constants_of(result.program)
    x = torch.randn(1, 4)
    (found,) = run_program(result.program, [x])
    assert torch.allclose(found, (x * 3 + 1).relu())
    made = next(n for n in result.program.graph.nodes if "mul" in str(n.target))
    assert layer_of(made) == "first"


def test_a_constant_gets_a_name_of_its_own(program):
    editor = Editor(program)
    names = [editor.add_constant(torch.ones(4), "scale").name for _ in range(2)]
    assert len(set(names)) == 2
    node = call(editor, "relu")
    constant = next(n for n in editor.graph.nodes if n.name == names[0])
    editor.replace(node, lambda x, c: (x * c).relu(), [node.args[0], constant], "scaled")
    result = editor.finish()
    # The one that nothing uses is not kept.
    assert names[1] not in constants_of(result.program)
    assert targets(result.program) == ["mul", "add", "mul", "relu"]
    result.program.module()(torch.rand(1, 4))


def test_a_rewriting_of_another_shape_is_refused(program):
    editor = Editor(program)
    node = call(editor, "mul")
    with pytest.raises(
        CompileError, match=r"first returned the shape \(1, 4, 1\); expected \(1, 4\)"
    ):
        editor.replace(node, lambda x: x.unsqueeze(-1), [node.args[0]], "wrong")


def test_the_output_may_be_replaced(program):
    editor = Editor(program)
    node = call(editor, "relu")
    editor.substitute(node, node.args[0], "removed")
    result = editor.finish()
    assert targets(result.program) == ["mul", "add"]
    x = torch.randn(1, 4)
    assert torch.equal(result.program.module()(x), run_program(result.program, [x])[0])


def test_a_copy_that_no_pass_changed_is_used_again():
    program = exported(
        torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()), torch.rand(1, 3)
    )
    first = Editor(program)
    assert not first.finish().modified
    assert Editor(program).graph is first.graph
    assert Editor(program).graph is not first.graph  # while one is in use, others get their own


@pytest.mark.parametrize("change", ["an argument", "a record", "a node"])
def test_a_copy_that_was_changed_in_secret_is_not_used_again(change):
    program = exported(lambda x: x * 2 + 3, torch.rand(1, 3))
    first = Editor(program)
    node = next(n for n in first.graph.nodes if n.op == "call_function")
    if change == "an argument":
        node.args = (node.args[0], 5)
    elif change == "a record":
        node.meta["stack_trace"] = "elsewhere"
    assert not first.finish().modified
    if change == "a node":
        first.graph.create_node("call_function", node.target, node.args)
    second = Editor(program)
    assert second.graph is not first.graph
    assert str(second.graph) == str(program.graph)
