import logging

import numpy as np
import pytest

pytest.importorskip("executorch.exir", reason="the executorch extra is not installed")

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from edge_pipeline.artifact.manifest import Delegation, ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.backends.executorch import xnnpack as backend
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.compiler.program import run_program
from edge_pipeline.errors import CompileError, DelegationError, RuntimeFailure
from edge_pipeline.runtime.executorch import open_session
from tests.programs import exported

OPTIONS = EmitOptions("forward", ("x",), ("y",))
SIZE = (1, 3, 16, 24)
_LOGGERS = "executorch.backends.xnnpack.partition"


class Predicting(nn.Module):
    """Every construct of the network that the delegate refuses as it is written."""

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.mlp = nn.Linear(3, 4 * 3 * 3 * 3)

        def forward(self, x):
            f = self.mlp(x.amax((2, 3))).view(1, 4, 3, 3, 3)
            f = f / (f.abs().sum((3, 4), keepdim=True) + 1e-12) / 2
            padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
            return torch.conv2d(padded, f.reshape(4, 3, 3, 3))

    def __init__(self):
        super().__init__()
        self.hyper = self.Layer()

    def forward(self, x):
        y = F.gelu(self.hyper(x)) + x.mean(1, keepdim=True)
        return F.interpolate(F.max_pool2d(y, 2), scale_factor=2.0, mode="bilinear")


class Constant(nn.Module):
    """Two convolutions, a GELU and a guard against division by zero."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.second(F.gelu(self.first(x)))
        return y / (y.abs() + 1e-12)


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    return exported(Predicting(), torch.rand(SIZE))


@pytest.fixture(scope="module")
def constant():
    torch.manual_seed(0)
    return exported(Constant(), torch.rand(SIZE))


def options_with(**fields):
    return EmitOptions("forward", ("x",), ("y",), **fields)


def open_emitted(emitted, program, folder):
    """A session of what was emitted for a program with one input and one output."""
    for name, data in emitted.files.items():
        (folder / name).write_bytes(data)
    given = [n.meta["val"].shape for n in program.graph.output_node().all_input_nodes]
    spec = ProgramSpec(
        name="forward",
        file=emitted.file,
        inputs=(TensorSpec(name="x", shape=SIZE, meaning="x"),),
        outputs=(TensorSpec(name="y", shape=tuple(given[0]), meaning="y"),),
        macs=0,
        flops=0,
        delegation=emitted.delegation,
        reference="r",
        extra=tuple(name for name in emitted.files if name != emitted.file),
    )
    return open_session(folder / emitted.file, spec, 1)


def relative_error(emitted, program, folder, x):
    expected = run_program(program, [x])[0].numpy()
    with open_emitted(emitted, program, folder) as session:
        found = session.run({"x": x.numpy()})["y"]
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_after_the_passes_all_of_it_is_delegated(program, tmp_path):
    x = torch.rand(SIZE)
    lowered = run_passes(program, passes_for("executorch"), [x])
    emitted = backend.emit(lowered, OPTIONS)
    assert emitted.delegation.outside == {}
    assert emitted.delegation.outside_share is None
    assert "bmm" in emitted.delegation.delegated
    assert relative_error(emitted, lowered, tmp_path, x) < 1e-5


def test_the_program_that_was_given_stays_whole(constant):
    x = torch.rand(SIZE)
    before, text = run_program(constant, [x])[0], str(constant.graph)
    backend.emit(constant, OPTIONS)
    assert str(constant.graph) == text
    assert torch.equal(run_program(constant, [x])[0], before)


def test_without_the_lowering_the_layer_the_operator_and_the_reason_are_named(program):
    x = torch.rand(SIZE)
    steps = [step for step in passes_for("executorch") if step.name != "lower_convolution"]
    lowered = run_passes(program, steps, [x])
    with pytest.raises(
        DelegationError,
        match=r"hyper \(.*\): the operator convolution .*Expected weight to be a static",
    ):
        backend.emit(lowered, OPTIONS)


def test_every_operator_that_stays_outside_is_named_with_its_line():
    def masks(x):
        return torch.where(x > 0.5, x, x * 2) + x.cumsum(1)

    x = torch.rand(SIZE)
    lowered = run_passes(exported(masks, x), passes_for("executorch"), [x])
    with pytest.raises(DelegationError) as caught:
        backend.emit(lowered, OPTIONS)
    heading, *lines = str(caught.value).splitlines()
    assert "3 operators stay outside XNNPACK" in heading
    assert [name for name in ("gt", "where", "cumsum") if f"operator {name} " in "".join(lines)]
    assert len(lines) == 3
    assert all("the function programs.py:" in line for line in lines)
    assert all("or give --allow-outside " in line for line in lines)


def test_an_allowed_operator_stays_outside_and_its_share_is_measured(tmp_path):
    def heavy(x):  # a convolution of 64 channels on the portable kernel, beside one addition
        wide = x.mean(1, keepdim=True).expand(1, 64, 16, 24)
        weight = (x.mean() + torch.zeros(64, 64, 3, 3)).contiguous()
        return torch.conv2d(wide.contiguous(), weight, padding=1) + 1.0

    program = exported(heavy, torch.rand(SIZE))
    with pytest.raises(DelegationError, match="operator"):
        backend.emit(program, options_with(allowed=frozenset({"convolution"})))
    allowed = {"convolution", "expand_copy", "mean", "clone", "add", "full", "_clone_dim_order"}
    emitted = backend.emit(program, options_with(allowed=frozenset(allowed)))
    assert emitted.delegation.outside["convolution"] == 1
    assert emitted.delegation.outside_share is not None
    assert 0.8 < emitted.delegation.outside_share <= 1
    assert relative_error(emitted, program, tmp_path, torch.rand(SIZE)) < 1e-5


class TestWeights:
    def test_lie_outside_the_program_with_channels_last(self, constant):
        emitted = backend.emit(constant, OPTIONS)
        for name in ("first.weight", "second.weight"):
            weight = constant.state_dict[name].detach()
            data = weight.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
            assert emitted.files["forward.ptd"].count(data) == 1
            assert data not in emitted.files["forward.pte"]

    def test_may_be_changed_where_they_lie(self, constant, tmp_path):
        emitted = backend.emit(constant, OPTIONS)
        weight = constant.state_dict["second.weight"].detach()
        old = weight.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
        other = torch.randn(weight.shape)
        new = other.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
        x = torch.rand(SIZE)
        patched = dict(emitted.files)
        patched["forward.ptd"] = patched["forward.ptd"].replace(old, new)
        changed = type(emitted)(emitted.file, patched, emitted.delegation)
        state = dict(constant.state_dict)
        constant.state_dict["second.weight"] = nn.Parameter(other)
        try:
            error = relative_error(changed, constant, tmp_path, x)
        finally:
            constant.state_dict.update(state)
        assert error < 1e-5

    def test_missing_beside_the_program_are_named(self, constant, tmp_path):
        emitted = backend.emit(constant, OPTIONS)
        open_emitted(emitted, constant, tmp_path).close()
        (tmp_path / "forward.ptd").write_bytes(emitted.files["forward.ptd"][:-200])
        with pytest.raises(RuntimeFailure, match="could not load"):
            self.reopened(tmp_path)
        (tmp_path / "forward.ptd").unlink()
        with pytest.raises(
            RuntimeFailure, match=r"requires its weights file forward\.ptd in the same folder"
        ):
            self.reopened(tmp_path)

    @staticmethod
    def reopened(folder):
        tensor = TensorSpec(name="x", shape=SIZE, meaning="x")
        spec = ProgramSpec(
            name="forward",
            file="forward.pte",
            inputs=(tensor,),
            outputs=(TensorSpec(name="y", shape=(1, 8, 16, 24), meaning="y"),),
            macs=0,
            flops=0,
            delegation=Delegation(delegate="", delegated={}, outside={}),
            reference="r",
            extra=("forward.ptd",),
        )
        return open_session(folder / "forward.pte", spec, 1)


def for_half(program):
    """After the passes that half precision needs."""
    return run_passes(program, passes_for("executorch", precision="fp16"), [torch.rand(SIZE)])


class TestPrecisions:
    def test_half(self, constant, tmp_path):
        """Off by rounding and GELU's form; were it float32, it would be off by far less."""
        emitted = backend.emit(for_half(constant), options_with(precision="fp16"))
        assert emitted.delegation.outside == {}
        assert "float16" in emitted.notes[0]
        error = relative_error(emitted, constant, tmp_path, torch.rand(SIZE))
        assert 1e-5 < error < 0.1

    def test_half_keeps_a_guard_against_division_by_zero(self, tmp_path):
        guarded = exported(lambda x: x / (x.abs() + 1e-12), torch.rand(SIZE))
        emitted = backend.emit(for_half(guarded), options_with(precision="fp16"))
        with open_emitted(emitted, guarded, tmp_path) as session:
            found = session.run({"x": np.zeros(SIZE, np.float32)})["y"]
        assert np.all(found == 0)

    def test_int8(self, tmp_path):
        samples = tuple((torch.rand(SIZE),) for _ in range(3))
        smooth = exported(_smooth(), torch.rand(SIZE))
        emitted = backend.emit(smooth, options_with(precision="int8", samples=samples))
        assert emitted.delegation.outside == {}
        assert any(name.startswith("quantize") for name in emitted.delegation.delegated)
        assert list(emitted.files) == ["forward.pte"]
        error = relative_error(emitted, smooth, tmp_path, samples[0][0])
        assert 1e-4 < error < 0.05

    def test_int8_of_computed_filters(self, program, tmp_path):
        x = torch.rand(SIZE)
        lowered = run_passes(program, passes_for("executorch"), [x])
        emitted = backend.emit(lowered, options_with(precision="int8", samples=((x,),)))
        assert emitted.delegation.outside == {}
        assert relative_error(emitted, lowered, tmp_path, x) < 0.05

    def test_int8_without_samples(self, constant):
        with pytest.raises(CompileError, match="none were given"):
            backend.emit(constant, options_with(precision="int8"))


def _smooth():
    """The convolutions of `Constant` without its division, which int8 has no resolution for."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, 8, 3, padding=1))


def test_the_partitioners_log_is_left_as_it_was(program):
    names = [n for n in logging.root.manager.loggerDict if _LOGGERS in n]
    before = [(logging.getLogger(n).level, logging.getLogger(n).propagate) for n in names]
    with pytest.raises(DelegationError):
        backend.emit(exported(lambda x: x.cumsum(1), torch.rand(1, 3, 4, 4)), OPTIONS)
    after = [(logging.getLogger(n).level, logging.getLogger(n).propagate) for n in names]
    assert after == before
    assert not any(logging.getLogger(n).handlers for n in names)


def test_the_versions_are_told():
    assert set(backend.require()) == {"executorch", "torch"}
