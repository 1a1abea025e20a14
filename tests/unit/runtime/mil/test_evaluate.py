"""MIL's operators against torch's, which share no code, on random shapes."""

import pytest

pytest.importorskip("torch", reason="the operators are compared with torch's")

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge_pipeline.runtime.mil.evaluate import OPERATORS

SEEDS = st.integers(0, 2**16)


def tensor(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def run(kind, /, **arguments):
    """The operator with its arguments as the program holds them: arrays and text."""
    given_ = {
        name: value
        if isinstance(value, str | list)
        else value.numpy()
        if isinstance(value, torch.Tensor)
        else np.asarray(value)
        for name, value in arguments.items()
    }
    return OPERATORS[kind](**given_)


def close(found, expected, tolerance=2e-6):
    found, expected = np.asarray(found), expected.numpy()
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    assert np.abs(found - expected).max(initial=0.0) <= tolerance * scale


class TestWindows:
    @given(SEEDS, st.data())
    def test_convolution(self, seed, data):
        groups = data.draw(st.sampled_from([1, 2, 4]), "groups")
        c_in, c_out = (groups * data.draw(st.integers(1, 3), side) for side in ("in", "out"))
        kernel = [data.draw(st.integers(1, 3), "kernel") for _ in range(2)]
        strides = [data.draw(st.integers(1, 3), "stride") for _ in range(2)]
        gaps = [data.draw(st.integers(1, 2), "dilation") for _ in range(2)]
        top, left = (data.draw(st.integers(0, 2), "pad") for _ in range(2))
        x = tensor(seed, data.draw(st.integers(1, 2), "n"), c_in, 7, 9)
        weight, bias = tensor(seed + 1, c_out, c_in // groups, *kernel), tensor(seed + 2, c_out)
        expected = F.conv2d(x, weight, bias, strides, (top, left), gaps, groups)
        found = run(
            "conv",
            x=x,
            weight=weight,
            bias=bias,
            strides=strides,
            pad_type="custom",
            pad=[top, top, left, left],
            dilations=gaps,
            groups=groups,
        )
        close(found, expected, 5e-6)

    @given(SEEDS, st.integers(1, 9), st.integers(1, 5), st.integers(1, 3))
    def test_convolution_padded_to_the_same_size(self, seed, size, kernel, stride):
        x, weight = tensor(seed, 1, 2, size, size), tensor(seed + 1, 3, 2, kernel, kernel)
        found = run("conv", x=x, weight=weight, strides=[stride] * 2, pad_type="same")
        count = -(-size // stride)
        whole = max((count - 1) * stride + kernel - size, 0)
        pads = (whole // 2, whole - whole // 2)
        close(found, F.conv2d(F.pad(x, pads * 2), weight, stride=stride), 5e-6)

    @given(SEEDS, st.data())
    def test_transposed_convolution(self, seed, data):
        groups = data.draw(st.integers(1, 2), "groups")
        kernel, stride = data.draw(st.integers(1, 4), "k"), data.draw(st.integers(1, 3), "s")
        gap, pad = data.draw(st.integers(1, 2), "d"), data.draw(st.integers(0, 1), "p")
        extra = data.draw(st.integers(0, max(stride, gap) - 1), "output padding")
        assume(4 * stride + gap * (kernel - 1) + 1 > 2 * pad)
        x, weight = tensor(seed, 2, 2 * groups, 5, 6), tensor(seed + 1, 2 * groups, 3, kernel, 2)
        expected = F.conv_transpose2d(x, weight, None, stride, pad, extra, groups, gap)
        found = run(
            "conv_transpose",
            x=x,
            weight=weight,
            strides=[stride] * 2,
            dilations=[gap] * 2,
            pad_type="custom",
            pad=[pad] * 4,
            groups=groups,
            output_shape=list(expected.shape),
        )
        close(found, expected, 5e-6)

    @given(SEEDS, st.data())
    def test_pooling(self, seed, data):
        kernel = data.draw(st.integers(1, 4), "kernel")
        stride, pad = data.draw(st.integers(1, 3), "s"), data.draw(st.integers(0, kernel // 2), "p")
        ceil = data.draw(st.booleans(), "ceil")
        x = tensor(seed, 2, 3, data.draw(st.integers(4, 9), "h"), 8)
        common = {
            "x": x,
            "kernel_sizes": [kernel] * 2,
            "strides": [stride] * 2,
            "pad_type": "custom",
            "pad": [pad] * 4,
            "ceil_mode": ceil,
        }
        expected = F.max_pool2d(x, kernel, stride, pad, ceil_mode=ceil)
        close(run("max_pool", **common), expected, 0)
        for excluded in (False, True):
            expected = F.avg_pool2d(x, kernel, stride, pad, ceil, not excluded)
            found = run("avg_pool", **common, exclude_padding_from_average=excluded)
            close(found, expected)

    @given(SEEDS, st.booleans(), st.booleans())
    def test_products(self, seed, left, right):
        a, b = tensor(seed, 2, 3, 4, 5), tensor(seed + 1, 3, 5, 6)
        x, y = a.mT.contiguous() if left else a, b.mT.contiguous() if right else b
        close(run("matmul", x=x, y=y, transpose_x=left, transpose_y=right), a @ b)
        weight, bias = tensor(seed, 7, 5), tensor(seed + 3, 7)
        close(run("linear", x=a, weight=weight, bias=bias), F.linear(a, weight, bias))


class TestResizing:
    @given(SEEDS, st.integers(1, 4), st.integers(1, 4), st.booleans())
    def test_upsampling_by_both_corner_rules(self, seed, rows, columns, corners):
        x = tensor(seed, 1, 2, 5, 3)
        expected = F.interpolate(
            x, scale_factor=(rows, columns), mode="bilinear", align_corners=corners
        )
        found = run(
            "upsample_bilinear",
            x=x,
            scale_factor_height=np.float32(rows),
            scale_factor_width=np.float32(columns),
            align_corners=corners,
        )
        close(found, expected)

    @given(SEEDS, st.integers(2, 17), st.integers(2, 17), st.booleans())
    def test_resizing_to_any_size(self, seed, height, width, corners):
        x = tensor(seed, 1, 2, 6, 9)
        expected = F.interpolate(x, (height, width), mode="bilinear", align_corners=corners)
        mode = "ALIGN_CORNERS" if corners else "UNALIGN_CORNERS"
        found = run(
            "resize_bilinear",
            x=x,
            target_size_height=height,
            target_size_width=width,
            sampling_mode=mode,
        )
        close(found, expected)
        shape = [height, width]
        close(run("resize", x=x, shape=shape, resized_dims=2, sampling_mode=mode), expected)

    def test_the_two_corner_rules_differ(self):
        x = tensor(0, 1, 1, 4, 4)
        one, other = (
            run("upsample_bilinear", x=x, scale_factor_height=2, align_corners=c)
            for c in (True, False)
        )
        assert np.abs(one - other).max() > 0.05

    @given(SEEDS, st.integers(1, 3))
    def test_nearest(self, seed, factor):
        x = tensor(seed, 1, 2, 3, 4)
        found = run(
            "upsample_nearest_neighbor", x=x, scale_factor_height=factor, scale_factor_width=factor
        )
        close(found, F.interpolate(x, scale_factor=factor, mode="nearest"), 0)

    @given(SEEDS, st.sampled_from(["reflect", "replicate", "constant"]), st.data())
    def test_padding(self, seed, mode, data):
        left, right, top, bottom = (data.draw(st.integers(0, 2)) for _ in range(4))
        x = tensor(seed, 1, 2, 3, 4)
        expected = F.pad(x, (left, right, top, bottom), mode)
        found = run("pad", x=x, pad=[0, 0, 0, 0, top, bottom, left, right], mode=mode)
        close(found, expected, 0)

    @given(SEEDS, st.integers(1, 3))
    def test_depth_to_space_and_back(self, seed, factor):
        x = tensor(seed, 2, 2 * factor**2, 3, 4)
        up = run("pixel_shuffle", x=x, upscale_factor=factor)
        close(up, F.pixel_shuffle(x, factor), 0)
        close(run("pixel_unshuffle", x=torch.from_numpy(up), downscale_factor=factor), x, 0)
        deep = run("depth_to_space", x=x, block_size=factor)
        close(run("space_to_depth", x=torch.from_numpy(deep), block_size=factor), x, 0)


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


class TestLayout:
    @given(SEEDS)
    def test_moves(self, seed):
        x = tensor(seed, 2, 3, 4, 5)
        close(run("transpose", x=x, perm=[0, 2, 3, 1]), x.permute(0, 2, 3, 1), 0)
        close(run("reshape", x=x, shape=[2, -1, 5]), x.reshape(2, 12, 5), 0)
        close(run("reshape", x=x, shape=[0, 3, 2, 10]), x.reshape(2, 3, 2, 10), 0)
        close(run("expand_dims", x=x, axes=[0, 3]), x[None, :, :, None], 0)
        close(run("squeeze", x=x[:1], axes=[0]), x[0], 0)
        close(run("tile", x=x, reps=[1, 2, 1, 1]), x.tile(1, 2, 1, 1), 0)
        close(run("concat", values=[x.numpy(), x.numpy()], axis=1), torch.cat([x, x], 1), 0)
        close(run("stack", values=[x.numpy(), x.numpy()], axis=0), torch.stack([x, x]), 0)
        close(run("crop", x=x, crop_height=[1, 0], crop_width=[0, 2]), x[..., 1:, :-2], 0)
        close(run("gather", x=x, indices=np.array([2, 0]), axis=1), x[:, [2, 0]], 0)

    @given(SEEDS)
    def test_slices(self, seed):
        x = tensor(seed, 2, 6, 5)
        found = run(
            "slice_by_index",
            x=x,
            begin=[1, 1, 0],
            end=[0, 6, -1],
            stride=[1, 2, 1],
            end_mask=[False, True, False],
            squeeze_mask=[True, False, False],
        )
        close(found, x[1, 1::2, :-1], 0)
        close(run("slice_by_size", x=x, begin=[0, 2, 1], size=[2, 3, -1]), x[:, 2:5, 1:], 0)
        parts = run("split", x=x, split_sizes=[1, 3, 2], axis=1)
        for part, expected in zip(parts, x.split([1, 3, 2], 1), strict=True):
            close(part, expected, 0)
        assert [p.shape for p in run("split", x=x, num_splits=3, axis=1)] == [(2, 2, 5)] * 3
