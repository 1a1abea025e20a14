"""MIL's operators against torch's, which share no code, on random shapes."""

import pytest

pytest.importorskip("torch", reason="the operators are compared with torch's")

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.fakes.mil import SEEDS, close, run, tensor


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
