"""The published network once more, from its diagram, with plain functions and its own weights."""

import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.models.base import build_model


def embedding(state, name, x, first_stride=1, pools=()):
    indices = sorted({int(k.split(".")[1]) for k in state if k.startswith(f"{name}.")})
    for i, index in enumerate(indices):
        stride = first_stride if i == 0 else 1
        weight, bias = state[f"{name}.{index}.weight"], state[f"{name}.{index}.bias"]
        x = F.conv2d(x, weight, bias, stride=stride, padding=1)
        if i < len(pools):
            x = F.gelu(F.max_pool2d(x, pools[i]))
    return x


def hyperconv(state, name, maps, x):
    """One sample at a time: pool, MLP, normalise, add the constant filter, convolve."""
    results = []
    const = state[f"{name}.const_f"][0]
    for i in range(len(x)):
        v = maps[i].flatten(1).max(dim=1).values
        bias = F.linear(v, state[f"{name}.bias.weight"], state[f"{name}.bias.bias"])
        h = v
        for j in (0, 2, 4):
            h = F.linear(h, state[f"{name}.outf.{j}.weight"], state[f"{name}.outf.{j}.bias"])
            h = F.relu(h) if j < 4 else h
        f = h.reshape(const.shape)
        f = 0.5 * f / f.abs().sum(dim=(2, 3), keepdim=True) + const
        padded = F.pad(x[i : i + 1], (1, 1, 1, 1), mode="reflect")
        results.append(F.conv2d(padded, f, bias.clamp(-0.1, 0.1)))
    return torch.cat(results)


def double_size(x):
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def restated(s, x):
    e1 = embedding(s, "embed", x, pools=(2, 2, 2, 4))
    a = hyperconv(s, "hyper_conv0", e1, x).clamp(0, 1)
    a = (a + hyperconv(s, "hyper_conv1", e1, a)).clamp(0, 1)
    half = F.max_pool2d(a, 2)
    e2 = embedding(s, "embed2", a, first_stride=2, pools=(2, 2, 4))
    half = F.gelu(hyperconv(s, "hyper_conv1_2", e2, half))
    quarter = F.max_pool2d(half, 2)
    e4 = embedding(s, "embed4", quarter, pools=(2, 4))
    quarter = F.gelu(hyperconv(s, "hyper_conv1_4", e4, quarter))
    eighth = F.max_pool2d(quarter, 2)
    e8 = embedding(s, "embed8", eighth, pools=(4,))
    eighth = F.gelu(hyperconv(s, "hyper_conv1_8", e8, eighth))
    sixteenth = F.gelu(hyperconv(s, "hyper_conv1_16", e8, F.max_pool2d(eighth, 2)))
    up = eighth + double_size(sixteenth / 4)
    eighth = F.gelu(hyperconv(s, "hyper_conv2_8", e8, up) + eighth)
    up = quarter + double_size(eighth / 4)
    quarter = F.gelu(hyperconv(s, "hyper_conv2_4", e4, up) + quarter)
    up = half + double_size(quarter / 4)
    half = F.gelu(hyperconv(s, "hyper_conv2_2", e2, up) + half.mean(1, keepdim=True))
    up = a + double_size(half / 4)
    full = F.gelu(hyperconv(s, "hyper_conv2", e1, up) + a) + x.mean(1, keepdim=True)
    return torch.sigmoid(hyperconv(s, "hyper_conv4", e1, double_size(full)))


def test_network_agrees_with_its_restatement():
    model = build_model("hyperconv_unet", {"n_fwd": 8, "n_embed": 4, "n_hid": 16}, seed=3).double()
    x = torch.rand(2, 4, 48, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = (model(x) - restated(model.state_dict(), x)).abs().max()
    assert difference < 1e-10
