"""MIL's operators on numbers against torch's, on random shapes."""

import pytest

pytest.importorskip("torch", reason="the operators are compared with torch's")

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.mil import SEEDS, close, run, tensor

ELEMENTWISE = {
    "abs": (torch.abs, {}),
    "ceil": (torch.ceil, {}),
    "clip": (lambda x: x.clamp(-0.3, 0.7), {"alpha": -0.3, "beta": 0.7}),
    "elu": (lambda x: F.elu(x, 0.8), {"alpha": 0.8}),
    "erf": (torch.erf, {}),
    "exp": (torch.exp, {}),
    "floor": (torch.floor, {}),
    "gelu": (F.gelu, {}),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), {"alpha": 0.1}),
    "relu": (torch.relu, {}),
    "relu6": (F.relu6, {}),
    "round": (torch.round, {}),
    "sigmoid": (torch.sigmoid, {}),
    "sigmoid_hard": (F.hardsigmoid, {"alpha": 1 / 6, "beta": 0.5}),
    "sign": (torch.sign, {}),
    "silu": (F.silu, {}),
    "softmax": (lambda x: x.softmax(-1), {"axis": -1}),
    "softplus": (F.softplus, {}),
    "softsign": (F.softsign, {}),
    "square": (torch.square, {}),
    "tanh": (torch.tanh, {}),
}


class TestNumbers:
    @pytest.mark.parametrize("kind", ELEMENTWISE)
    @settings(max_examples=10)
    @given(seed=SEEDS, scale=st.sampled_from([1e-3, 1.0, 8.0]))
    def test_elementwise(self, kind, seed, scale):
        function, extra = ELEMENTWISE[kind]
        x = scale * tensor(seed, 2, 3, 5)
        close(run(kind, x=x, **extra), function(x))

    @given(SEEDS)
    def test_gelu_by_tanh(self, seed):
        x = 4 * tensor(seed, 3, 5)
        found = run("gelu", x=x, mode="TANH_APPROXIMATION")
        close(found, F.gelu(x, approximate="tanh"))
        assert np.abs(found - F.gelu(x).numpy()).max() > 1e-6

    @given(SEEDS)
    def test_roots_and_logarithms(self, seed):
        x = tensor(seed, 3, 5).abs() + 0.1
        close(run("sqrt", x=x), x.sqrt())
        close(run("rsqrt", x=x), x.rsqrt())
        close(run("log", x=x), x.log(), 5e-6)
        close(run("inverse", x=x, epsilon=0.0), 1 / x)

    @given(SEEDS)
    def test_of_two(self, seed):
        x, y = tensor(seed, 2, 3, 1), tensor(seed + 1, 4)
        for kind, function in {
            "add": torch.add,
            "sub": torch.sub,
            "mul": torch.mul,
            "real_div": torch.div,
            "maximum": torch.maximum,
            "minimum": torch.minimum,
            "greater": torch.gt,
            "less_equal": torch.le,
            "floor_div": torch.floor_divide,
        }.items():
            found = run(kind, x=x, y=y)
            assert (torch.from_numpy(np.asarray(found)) == function(x, y)).all()
        close(run("select", cond=x > 0, a=x, b=y), torch.where(x > 0, x, y), 0)

    @given(SEEDS, st.sampled_from([[1], [2, 3], [0, 1, 2, 3], [-1]]), st.booleans())
    def test_reductions(self, seed, axes, keep):
        x = tensor(seed, 2, 3, 4, 5)
        for kind, function in {
            "reduce_max": torch.amax,
            "reduce_mean": torch.mean,
            "reduce_min": torch.amin,
            "reduce_sum": torch.sum,
        }.items():
            close(run(kind, x=x, axes=axes, keep_dims=keep), function(x, axes, keepdim=keep), 1e-5)

    @given(SEEDS)
    def test_normalisations(self, seed):
        x = tensor(seed, 2, 3, 4, 5)
        mean, variance = tensor(seed + 1, 3), tensor(seed + 2, 3).abs() + 0.1
        gamma, beta = tensor(seed + 3, 3), tensor(seed + 4, 3)
        found = run(
            "batch_norm", x=x, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=1e-3
        )
        close(found, F.batch_norm(x, mean, variance, gamma, beta, eps=1e-3), 5e-6)
        found = run("instance_norm", x=x, gamma=gamma, beta=beta, epsilon=1e-5)
        close(found, F.instance_norm(x, weight=gamma, bias=beta), 5e-6)
        found = run("layer_norm", x=x, axes=[-1], epsilon=1e-5)
        close(found, F.layer_norm(x, [5]), 5e-6)

    @given(SEEDS, st.integers(-20, 20))
    def test_quantisation(self, seed, zero):
        x, scale = tensor(seed, 2, 3, 4), torch.tensor([0.02, 0.5, 0.001])
        along = scale[:, None]
        held = ((x / along).round() + zero).clamp(-128, 127).to(torch.int8)
        expected = (held.float() - zero) * along
        zeros = np.full(3, zero, np.int8)
        found = run("quantize", input=x, scale=scale, zero_point=zeros, axis=1, output_dtype="int8")
        assert (found == held.numpy()).all()
        assert found.dtype == np.int8
        close(run("dequantize", input=held, scale=scale, zero_point=zeros, axis=1), expected)
        constant = run(
            "constexpr_affine_dequantize",
            quantized_data=held,
            scale=scale,
            zero_point=zeros,
            axis=1,
        )
        close(constant, expected)

    def test_a_scale_for_each_block(self):
        data = np.arange(8, dtype=np.int8).reshape(2, 4)
        scale = np.array([[1.0, 10.0], [0.5, 2.0]], np.float32)
        found = run("constexpr_blockwise_shift_scale", data=data, scale=scale)
        assert found.tolist() == [[0, 1, 20, 30], [2, 2.5, 12, 14]]
