import pytest
import torch

from edge_pipeline.compiler.lowering.convolution import ConvPlan
from edge_pipeline.compiler.passes.lower_convolution import LowerConvolution
from edge_pipeline.compiler.pipeline import PIPELINES, TOLERANCE, passes_for, run_passes
from edge_pipeline.compiler.program import Editor, run_program
from edge_pipeline.compiler.rounding import rounding_errors
from edge_pipeline.errors import CompileError, UnknownNameError
from edge_pipeline.registry import BACKENDS
from tests.programs import exported, targets


class Rewrite:
    """A pass that puts something in the place of every relu."""

    name = "rewrite"
    why = "a test"

    def __init__(self, function):
        self.function = function

    def run(self, program):
        editor = Editor(program)
        for node in editor.calls(torch.ops.aten.relu.default):
            editor.replace(node, self.function, [node.args[0]], "rewritten")
        return editor.finish()


@pytest.fixture
def case():
    x = torch.randn(1, 3, 4, 4)
    return exported(lambda x: x.relu() * 2, x), x


def test_every_backend_has_its_passes_with_names_and_reasons():
    assert sorted(PIPELINES) == BACKENDS.names()
    for steps in PIPELINES.values():
        assert all(step.name and step.why for step in steps)


def test_an_unknown_backend_is_named():
    with pytest.raises(UnknownNameError, match=r"'tpu'.*executorch,.* onnx"):
        passes_for("tpu")


@pytest.mark.parametrize(("precision", "lowered"), [("fp32", True), ("int8", False)])
def test_in_eight_bits_constant_convolutions_are_left_to_the_runtime(precision, lowered):
    steps = passes_for("executorch", precision=precision)
    (step,) = (step for step in steps if isinstance(step, LowerConvolution))
    # So that no measured cost decides.
    step.plan = ConvPlan("im2col", 0)
    x = torch.rand(1, 16, 9, 9)
    assert step.run(exported(torch.nn.Conv2d(16, 3, 3), x)).modified == lowered


def test_costs_of_another_backend_lower_no_constant_convolution():
    (step,) = (s for s in passes_for("executorch_vulkan") if isinstance(s, LowerConvolution))
    assert not step.constants


def test_a_right_pass_goes_through(case):
    program, x = case
    seen = []
    run_passes(
        program,
        [Rewrite(lambda x: x.clamp(min=0)), Rewrite(lambda x: x)],
        [x],
        on_result=lambda step, result: seen.append((step.name, result.modified)),
    )
    assert seen == [("rewrite", True), ("rewrite", False)]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.relu() + 10 * TOLERANCE, "changed output 0 by"),
        (lambda x: x.flip(3).relu(), "changed output 0 by"),
        (lambda x: x.relu() / 0.0, "changed output 0 by"),
    ],
    ids=["a little off", "columns turned", "infinite"],
)
def test_a_wrong_pass_is_caught_and_named(case, function, words):
    program, x = case
    with pytest.raises(CompileError, match=f"the pass rewrite {words}"):
        run_passes(program, [Rewrite(function)], [x])


def test_an_approximation_may_differ_by_what_it_states_and_later_passes_agree_with_it(case):
    program, x = case
    nearly = Rewrite(lambda x: x.relu() * 1.002)
    with pytest.raises(CompileError, match="changed output 0 by"):
        run_passes(program, [nearly], [x])
    nearly.approximation = 3e-3
    run_passes(program, [nearly, Rewrite(lambda x: x.clamp(min=0))], [x])
    with pytest.raises(CompileError, match="changed output 0 by"):
        run_passes(program, [nearly, Rewrite(lambda x: x.relu() * 0.998)], [x])
    nearly.approximation = 1e-3
    with pytest.raises(CompileError, match="changed output 0 by"):
        run_passes(program, [nearly], [x])


def test_rounding_goes_through(case):
    program, x = case
    run_passes(program, [Rewrite(lambda x: x.relu() + TOLERANCE / 10)], [x])


@pytest.mark.parametrize(("offset", "passes"), [(2e-4, True), (2e-2, False)])
def test_a_program_that_enlarges_rounding_may_differ_by_ten_times_its_own_error(offset, passes):
    """Here eager itself is wrong by 1e-4, since the sum keeps twelve bits of the fraction."""
    x = torch.rand(1, 3, 4, 4)
    program = exported(lambda x: (x.relu() + 2048) - 2048, x)
    rewrite = Rewrite(lambda x: x.relu() + offset)
    if passes:
        run_passes(program, [rewrite], [x])
    else:
        with pytest.raises(CompileError, match="is allowed"):
            run_passes(program, [rewrite], [x])


def test_rounding_errors_are_those_against_float64():
    x = torch.tensor([0.25, 0.1])
    program = exported(lambda x: (x + 2048) - 2048 + torch.zeros(2, dtype=torch.float32), x)
    (error,) = rounding_errors(program, [x], run_program(program, [x]))
    assert error == pytest.approx(abs((0.1 + 2048) - 2048 - float((x[1] + 2048) - 2048)), abs=1e-7)
    assert error > 1e-6


@pytest.mark.parametrize("share", [1e-4, -1e-3])
def test_an_error_of_a_ten_thousandth_is_no_rounding(case, share):
    """In numbers, so that a tolerance that grows is noticed."""
    program, x = case
    assert TOLERANCE < 1e-4
    with pytest.raises(CompileError, match="the pass rewrite changed output 0 by"):
        run_passes(program, [Rewrite(lambda x: x.relu() * (1 + share) + share)], [x])


@pytest.mark.parametrize("backend", BACKENDS.names())
def test_what_is_written_twice_is_compiled_once(backend):
    """The networks write pooling where it is used."""

    def pooled(x):
        return torch.max_pool2d(x, 2).relu() + torch.max_pool2d(x, 2).sigmoid()

    x = torch.rand(1, 3, 8, 8)
    program = run_passes(exported(pooled, x), passes_for(backend), [x])
    assert targets(program).count("max_pool2d") == 1
