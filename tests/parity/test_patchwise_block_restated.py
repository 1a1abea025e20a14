"""The HyperSeg meta block once more, patch by patch, from the paper's section 3.3."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.models import patchwise_block
from edge_pipeline.models.base import build_model
from edge_pipeline.models.layers.patchwise import WeightMapper, split

SMALL = {"in_channels": 3, "signal_channels": 8, "patch": 6, "groups": 4}


def weights_of(state, options, signal, row, column):
    """One patch's kernels, group by group of the mapper."""
    mapper = state["mapper.conv.weight"][:, :, 0, 0]
    groups = options.groups
    vector = signal[:, row, column].reshape(groups, -1)
    rows = mapper.reshape(groups, -1, mapper.shape[1])
    flat = torch.cat([rows[g] @ vector[g] for g in range(groups)])
    n_in, n_out = options.in_channels, options.out_channels
    if options.kernel == 1:
        return [flat[: n_out * n_in].reshape(n_out, n_in)]
    hidden = n_in * options.expand
    first, depth = hidden * n_in, 9 * hidden
    return [
        flat[:first].reshape(hidden, n_in),
        flat[first : first + depth].reshape(hidden, 3, 3),
        flat[first + depth : first + depth + n_out * hidden].reshape(n_out, hidden),
    ]


def normalised(state, name, x):
    scale = state[f"{name}.weight"] / (state[f"{name}.running_var"] + 1e-5).sqrt()
    shift = state[f"{name}.bias"] - state[f"{name}.running_mean"] * scale
    return x * scale[:, None, None] + shift[:, None, None]


def pointwise(weight, x):
    return torch.einsum("oc,chw->ohw", weight, x)


def depthwise(weight, x):
    """Nine shifted maps; one pixel is lost on every side."""
    height, width = x.shape[1] - 2, x.shape[2] - 2
    taps = [(i, j) for i in range(3) for j in range(3)]
    return sum(weight[:, i, j, None, None] * x[:, i : i + height, j : j + width] for i, j in taps)


def around(x):
    return F.pad(x[None], (1, 1, 1, 1), mode="reflect")[0]


def every_patch(function, source, out, patch, rows, columns, halo):
    """out's patches from source's, which are `halo` larger; both loops are plain."""
    for i in range(rows):
        for j in range(columns):
            top, left = i * patch, j * patch
            seen = source[:, top : top + patch + 2 * halo, left : left + patch + 2 * halo]
            out[:, top : top + patch, left : left + patch] = function(i, j, seen)
    return out


def restated(state, options, features, signal):
    """One sample: [C, H, W], [S, rows, columns] -> [O, H, W]."""
    rows, columns = signal.shape[1:]
    size = features.shape[1:]

    def kernels(i, j):
        return weights_of(state, options, signal, i, j)

    def first(i, j, x):
        return normalised(state, "bn1", pointwise(kernels(i, j)[0], x))

    def rest(i, j, hidden):
        _, depth, last = kernels(i, j)
        hidden = normalised(state, "bn2", depthwise(depth, hidden)).clamp(0, 6)
        return normalised(state, "bn3", pointwise(last, hidden))

    def whole(i, j, x):
        return rest(i, j, first(i, j, x).clamp(0, 6))

    out = torch.empty(options.out_channels, *size, dtype=features.dtype)
    grid = (options.patch, rows, columns)
    if options.kernel == 1:
        return every_patch(first, features, out, *grid, 0).clamp(min=0)
    if options.halo == "block":
        y = every_patch(whole, around(features), out, *grid, 1)
    else:
        hidden = torch.empty(options.in_channels * options.expand, *size, dtype=features.dtype)
        hidden = every_patch(first, features, hidden, *grid, 0).clamp(0, 6)
        y = every_patch(rest, around(hidden), out, *grid, 1)
    return features + y if options.in_channels == options.out_channels else y


def block(**options):
    """A block in float64 whose normalisations do something, and inputs of 3 x 2 patches."""
    model = build_model("patchwise_block", SMALL | options, seed=5).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if "running_var" in name or (name.startswith("bn") and name.endswith("weight")):
                value.uniform_(0.5, 2, generator=generator)
            elif "running_mean" in name or (name.startswith("bn") and name.endswith("bias")):
                value.uniform_(-0.5, 0.5, generator=generator)
    chosen = model.options
    features = torch.randn(2, chosen.in_channels, 18, 12, dtype=torch.float64, generator=generator)
    signal = torch.randn(2, 8, 3, 2, dtype=torch.float64, generator=generator)
    return model, features, signal


def difference(model, features, signal):
    """Largest over both samples."""
    with torch.no_grad():
        found = model(features, signal)
    state = model.state_dict()
    expected = [
        restated(state, model.options, *each) for each in zip(features, signal, strict=True)
    ]
    return float((found - torch.stack(expected)).abs().max())


VARIANTS = [
    {"out_channels": 3},
    {"out_channels": 5},
    {"out_channels": 3, "halo": "layer"},
    {"out_channels": 2, "halo": "layer", "expand": 3},
    {"out_channels": 7, "kernel": 1},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_the_block_agrees_with_its_restatement(options):
    assert difference(*block(**options)) < 1e-12


@pytest.mark.parametrize("halo", ["block", "layer"])
def test_a_lost_halo_is_caught(halo, monkeypatch):
    def lost(x, grid, halo):
        """Each patch padded for itself, as if it had no neighbours."""
        return F.pad(split(x, grid, 0), (halo,) * 4, mode="reflect")

    monkeypatch.setattr(patchwise_block, "split", lost)
    assert difference(*block(halo=halo)) > 1e-2


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_a_swapped_patch_axis_is_caught(options, monkeypatch):
    forward = WeightMapper.forward

    def swapped(self, signal):
        """The weights of the patches column by column."""
        n, _, rows, columns = signal.shape
        dealt = (w.reshape(n, rows, columns, -1).transpose(1, 2) for w in forward(self, signal))
        return tuple(w.reshape(n * rows * columns, -1) for w in dealt)

    monkeypatch.setattr(WeightMapper, "forward", swapped)
    assert difference(*block(**options)) > 1e-2
