"""The networks of appendix C once more, with plain functions and the predicted tensors."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.models.base import build_model
from tests.parity.test_phi_unet_restated import resized, smaller, theta
from tests.phi import loud

OPTIONS = {"encoder": "4-6-8", "out_channels": 2}
NETWORKS = {
    "phi_residual_unet": {"decoder": "6-3"},
    "phi_se_unet": {"decoder": "5-3", "reduction": 2},
    "phi_psp": {"decoder": "5-3"},
    "phi_fpn": {"pyramid": 5},
}


class Restated:
    """Each network as a function of the picture and the flat predicted tensors."""

    def __init__(self, state, phi):
        self.tensors, self.phi = theta(state, phi), phi

    def conv(self, name, y, k):
        weight = self.tensors[f"{name}.weight"].reshape(-1, y.shape[1], k, k)
        return F.conv2d(y, weight, self.tensors[f"{name}.bias"], padding=k // 2)

    def active(self, name, y, k=3):
        y = self.conv(name, y, k)
        return torch.maximum(y, 0.01 * y)

    def stage(self, name, y):
        return self.active(f"{name}.2", self.active(f"{name}.0", y))

    decoder = None

    def encoded(self, x):
        maps = [self.stage("encoder0", x)]
        for i in (1, 2):
            size = smaller(maps[-1].shape[2:], self.phi)
            maps.append(self.stage(f"encoder{i}", resized(maps[-1], size)))
        return maps

    def __call__(self, x):
        fine, middle, y = self.encoded(x)
        for i, skip in ((1, middle), (0, fine)):
            joined = torch.cat([skip, resized(y, skip.shape[2:])], 1)
            y = (self.decoder or self.stage)(f"decoder{i}", joined)
        return self.conv("classify", y, 1)


class Residual(Restated):
    def stage(self, name, y):
        short = y
        if f"{name}.shortcut.weight" in self.tensors:
            short = self.conv(f"{name}.shortcut", y, 1)
        y = self.conv(f"{name}.residual.2", self.active(f"{name}.residual.0", y), 3) + short
        return torch.maximum(y, 0.01 * y)


class SqueezeExcitation(Restated):
    def stage(self, name, y):
        y = super().stage(f"{name}.0", y)
        n = y.shape[1]
        means = y.flatten(2).sum(2) / y[0, 0].numel()  # [N, n]
        down = self.tensors[f"{name}.1.squeeze.weight"].reshape(-1, n)
        up = self.tensors[f"{name}.1.excite.weight"].reshape(n, -1)
        hidden = means @ down.T + self.tensors[f"{name}.1.squeeze.bias"]
        hidden = torch.maximum(hidden, 0.01 * hidden)
        factors = 1 / (1 + (-(hidden @ up.T + self.tensors[f"{name}.1.excite.bias"])).exp())
        return torch.einsum("nchw,nc->nchw", y, factors)


def parts(side, bins):
    """The matrix of the means over `bins` parts of an axis; parts overlap if they do not fit."""
    matrix = torch.zeros(bins, side, dtype=torch.float64)
    for i in range(bins):
        first, last = i * side // bins, -(-(i + 1) * side // bins)
        matrix[i, first:last] = 1 / (last - first)
    return matrix


class PyramidPooling(Restated):
    def decoder(self, name, y):
        rows, columns = y.shape[2:]
        maps = [y]
        for i, bins in enumerate((1, 2, 3, 6)):
            down, across = parts(rows, min(bins, rows)), parts(columns, min(bins, columns))
            part = self.active(f"{name}.pooled.{i}", down @ y @ across.T, 1)
            maps.append(resized(part, (rows, columns)))
        return self.active(f"{name}.merged", torch.cat(maps, 1))


class FeaturePyramid(Restated):
    def __call__(self, x):
        fine, middle, coarse = self.encoded(x)
        y = self.conv("lateral.2", coarse, 1)
        y = self.conv("lateral.1", middle, 1) + resized(y, middle.shape[2:])
        y = self.conv("lateral.0", fine, 1) + resized(y, fine.shape[2:])
        return self.conv("classify", self.active("smooth", y), 1)


RESTATED = dict(
    zip(NETWORKS, (Residual, SqueezeExcitation, PyramidPooling, FeaturePyramid), strict=True)
)


def pair(name, phi, changed=None):
    """The network's output and that of its restatement, from a changed state if there is one."""
    options = {**OPTIONS, **NETWORKS[name]}
    model = loud(build_model(name, options, seed=3), phi).double()
    x = torch.rand(2, 3, 19, 26, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    state = model.state_dict()
    if changed:
        state |= {changed: state[changed].roll(1, 0)}
    with torch.no_grad():
        return model(x, phi), RESTATED[name](state, phi)(x)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("phi", [0.05, 0.35, 0.9])
def test_network_agrees_with_its_restatement(name, phi):
    out, again = pair(name, phi)
    assert out.std(dim=(2, 3)).min() > 1e-4
    assert (out - again).abs().max() < 1e-10 * max(1, out.abs().max())


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("phi_residual_unet", "decoder1.shortcut"),
        ("phi_se_unet", "encoder1.1.excite"),
        ("phi_psp", "decoder0.pooled.3"),
        ("phi_fpn", "lateral.2"),
    ],
)
def test_the_restatement_sees_a_fault_in_one_layer(name, layer):
    out, again = pair(name, 0.5, f"hypernetwork.heads.{layer}.weight.weight")
    assert (out - again).abs().max() > 1e-7
