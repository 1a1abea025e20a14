"""The phi UNet once more, from the paper's text, with plain functions and its own weights."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.models.base import build_model
from tests.phi import loud

SMALL = {"encoder": "4-6-8", "decoder": "5-3", "out_channels": 2}


def theta(s, phi):
    """All of the primary network's tensors, in one go: one wide last layer, then cut."""
    v = torch.tensor([phi, 1 - phi], dtype=torch.float64)
    for layer in ("hypernetwork.hidden.0", "hypernetwork.hidden.2"):
        v = s[f"{layer}.weight"] @ v + s[f"{layer}.bias"]
        v = torch.where(v > 0, v, 0.01 * v)
    heads = [k.removesuffix(".weight") for k in s if "heads" in k and k.endswith(".weight")]
    flat = torch.cat([s[f"{h}.weight"] for h in heads]) @ v
    flat = flat + torch.cat([s[f"{h}.bias"] for h in heads])
    parts = flat.split([len(s[f"{h}.bias"]) for h in heads])
    return {h.removeprefix("hypernetwork.heads."): p for h, p in zip(heads, parts, strict=True)}


def taps(n):
    """What bilinear interpolation without aligned corners weighs: [out, in], written out."""
    n_in, n_out = n
    matrix = torch.zeros(n_out, n_in, dtype=torch.float64)
    for i in range(n_out):
        centre = max((i + 0.5) * n_in / n_out - 0.5, 0.0)
        low = min(int(centre), n_in - 1)
        high = min(low + 1, n_in - 1)
        matrix[i, low] += 1 - (centre - low)
        matrix[i, high] += centre - low
    return matrix


def resized(x, size):
    rows, columns = taps((x.shape[2], size[0])), taps((x.shape[3], size[1]))
    return rows @ x @ columns.T


def smaller(size, phi):
    """floor(size * phi) in exact arithmetic, phi as it is written in decimals."""
    return tuple(max(1, int(side * Fraction(str(phi)))) for side in size)


def restated(s, x, phi, encoder, decoder):
    t = theta(s, phi)

    def conv(name, y, k):
        weight = t[f"{name}.weight"].reshape(-1, y.shape[1], k, k)
        return F.conv2d(y, weight, t[f"{name}.bias"], padding=k // 2)

    def stage(name, y):
        for half in "02":
            y = F.leaky_relu(conv(f"{name}.{half}", y, 3))
        return y

    down, size, y = [], tuple(x.shape[2:]), x
    for i in range(len(encoder)):
        if i:
            size = smaller(size, phi)
            y = resized(y, size)
        y = stage(f"encoder{i}", y)
        down.append(y)
    for i in reversed(range(len(decoder))):
        skip = down[i]
        y = stage(f"decoder{i}", torch.cat([skip, resized(y, skip.shape[2:])], 1))
    return conv("classify", y, 1)


@pytest.mark.parametrize("phi", [0.05, 0.35, 0.5, 0.6])
def test_network_agrees_with_its_restatement(phi):
    model = loud(build_model("phi_unet_pets", SMALL, seed=3), phi).double()
    x = torch.rand(2, 3, 20, 33, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = model(x, phi)
        difference = (out - restated(model.state_dict(), x, phi, "468", "53")).abs().max()
    assert out.std(dim=(2, 3)).min() > 1e-3
    assert difference < 1e-10 * max(1, out.abs().max())


def test_the_restatement_sees_a_swapped_concatenation():
    """So that the parity above is known to look at every part."""
    model = loud(build_model("phi_unet_pets", SMALL, seed=3), 0.5).double()
    x = torch.rand(1, 3, 20, 33, dtype=torch.float64)
    state = model.state_dict()
    for name in ("decoder0.0", "encoder1.0"):
        key = f"hypernetwork.heads.{name}.weight.weight"
        turned = {**state, key: state[key].roll(9, 0)}  # by one input channel
        with torch.no_grad():
            difference = (model(x, 0.5) - restated(turned, x, 0.5, "468", "53")).abs().max()
        assert difference > 1e-3
