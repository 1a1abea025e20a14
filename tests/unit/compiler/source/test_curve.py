"""The curve of weights: as the network computes them, at as few knots as their lines have."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

from edge_pipeline.compiler.source.curve import curve_of
from edge_pipeline.compiler.source.foreign import foreign_network
from edge_pipeline.errors import InputError
from edge_pipeline.models.base import build_model
from edge_pipeline.models.layers.rescaling import sizes_of
from tests.phi import loud
from tests.programs import network_of

SMALL = {"encoder": "2-2", "decoder": "2", "hidden2": 4}


def with_biases(model, seed=3):
    """A hypernetwork whose hidden units bend at many values, as trained ones do."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for layer in (model.hypernetwork.hidden[0], model.hypernetwork.hidden[2]):
            layer.bias.normal_(0, 0.5)
    return loud(model)


def test_between_its_ends_it_is_the_hypernetwork_and_the_maps_keep_their_sizes():
    model = with_biases(build_model("phi_unet_pets", SMALL | {"hidden2": 16}))
    size = (5, 7)
    network = network_of(model, (torch.rand(1, 3, *size),)).with_fixed({"phi": 0.3})
    curve = curve_of(network).curve
    low, high = curve.spec.knots[0], curve.spec.knots[-1]
    sizes = sizes_of(*size, 0.3, 2)
    assert sizes_of(*size, low, 2) == sizes == sizes_of(*size, high, 2)
    assert sizes_of(*size, low - 1e-4, 2) != sizes
    assert high == 0.3 + 512e-4  # as far as it looks
    assert 2 < len(curve.spec.knots) < 16
    for phi in np.random.default_rng(0).uniform(low, high, 20):
        with torch.no_grad():
            expected = model.hypernetwork(torch.tensor([float(phi)]))
        found = curve.at(phi)
        assert list(found) == [f"network.{name}" for name in expected]
        for name, value in expected.items():
            largest = float(value.abs().max())
            assert np.abs(found[f"network.{name}"] - value.numpy()).max() <= 4e-6 * largest, name


class Bent(nn.Module):
    """Its weight bends where the number is 0.5, and one weight is the same at all numbers."""

    def __init__(self):
        super().__init__()
        self.base = nn.Parameter(torch.rand(2, 2, 3, 3))

    def forward(self, image, gain, other=None):
        bend = (torch.full((1,), gain) - 0.5).relu()
        y = F.conv2d(image, self.base * (1 + bend), padding=1)
        return F.conv2d(y, self.base.flip(3), padding=1)


def picture():
    return torch.rand(1, 2, 8, 8)


def test_a_bend_is_one_knot_and_what_does_not_change_is_held_once():
    network = foreign_network(Bent(), [picture()], fixed={"gain": 0.48, "other": True})
    curve = curve_of(network).curve
    low, bend, high = curve.spec.knots
    assert low < 0.48 < high
    assert abs(bend - 0.5) < 1e-5
    assert [len(value) for value in curve.weights.values()] == [1]
    # All its values are multiples of one tensor.
    assert [parts[0].shape for parts in curve.factors.values()] == [(3, 1)]


class Smooth(nn.Module):
    """Its weight turns on a circle."""

    def __init__(self):
        super().__init__()
        self.base = nn.Parameter(torch.rand(2, 2, 3, 3))

    def forward(self, image, angle):
        at = torch.full((1,), 0.3 * angle)
        return F.conv2d(image, self.base * at.sin() + self.base.flip(0) * at.cos(), padding=1)


def test_a_smooth_curve_is_cut_to_the_range_that_a_few_lines_follow(monkeypatch):
    monkeypatch.setattr("edge_pipeline.compiler.source.curve._MOST_KNOTS", 4)
    network = foreign_network(Smooth(), [picture()], fixed={"angle": 1.0})
    curve = curve_of(network).curve
    low, high = curve.spec.knots[0], curve.spec.knots[-1]
    assert low < 1 < high < 1.05
    assert 2 < len(curve.spec.knots) <= 4
    base = network.module.base.detach()
    for angle in np.linspace(low, high, 30):
        expected = base * np.sin(0.3 * angle) + base.flip(0) * np.cos(0.3 * angle)
        (found,) = curve.at(angle).values()
        np.testing.assert_allclose(found, expected, rtol=0, atol=4e-6)


class Scaled(nn.Module):
    """The number reaches the maps themselves."""

    def __init__(self):
        super().__init__()
        self.base = nn.Parameter(torch.rand(2, 2, 3, 3))

    def forward(self, image, gain):
        return F.conv2d(image * gain, self.base * gain)


@pytest.mark.parametrize(
    ("module", "fixed", "words"),
    [
        (Scaled, {"gain": 0.4}, "another gain changes more of Scaled than its weights"),
        (Bent, {"gain": 0.4, "other": 1}, "requires one fixed number.* numbers are: gain, other"),
        (nn.Identity, {}, "requires one fixed number.* numbers are: none"),
    ],
)
def test_which_values_may_change(module, fixed, words):
    network = foreign_network(module(), [picture()], fixed=fixed)
    with pytest.raises(InputError, match=words):
        curve_of(network)


def every(phi, model=None):
    model = model or with_biases(build_model("phi_unet_pets", SMALL | {"hidden2": 16}))
    network = network_of(model, (torch.rand(1, 3, 5, 7),)).with_fixed({"phi": phi})
    return model, curve_of(network, every=True)


def test_over_the_whole_range_it_is_the_hypernetwork_whatever_was_compiled():
    model, found = every(0.3)
    assert found.notes == ()
    low, high = found.curve.spec.knots[0], found.curve.spec.knots[-1]
    assert (low, high) == (1e-3, 0.6)
    for phi in [low, high, *np.random.default_rng(0).uniform(low, high, 20)]:
        with torch.no_grad():
            expected = model.hypernetwork(torch.tensor([float(phi)]))
        values = found.curve.at(phi)
        for name, value in expected.items():
            largest = float(value.abs().max())
            assert np.abs(values[f"network.{name}"] - value.numpy()).max() <= 4e-6 * largest, name
    assert every(0.55, model)[1].curve.content() == found.curve.content()


class Turning(Smooth):
    """A smooth curve over a stated range."""

    angle_range = (0.5, 2.0)


def test_a_smooth_curve_over_a_range_is_stored_in_factors():
    network = foreign_network(Turning(), [torch.rand(1, 2, 8, 8)], fixed={"angle": 1.0})
    found = curve_of(network, every=True)
    assert (found.notes, list(found.curve.weights)) == ((), [])
    ((coefficients, basis),) = found.curve.factors.values()
    assert basis.shape == (2, 2, 2, 3, 3)
    assert coefficients.shape == (len(found.curve.spec.knots), 2)
    base = network.module.base.detach()
    for angle in np.linspace(0.5, 2.0, 30):
        expected = base * np.sin(0.3 * angle) + base.flip(0) * np.cos(0.3 * angle)
        (value,) = found.curve.at(angle).values()
        np.testing.assert_allclose(value, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("module", "fixed", "words"),
    [
        (Bent, {"gain": 0.48, "other": True}, "Bent has no attribute gain_range"),
        (Turning, {"angle": 2.5}, "angle=2.5 is not within 0.5 to 2"),
    ],
)
def test_without_a_range_it_stays_near_the_value(module, fixed, words):
    network = foreign_network(module(), [picture()], fixed=fixed)
    found = curve_of(network, every=True)
    assert found.tabulated is None
    assert words in found.notes[0]
    knots = found.curve.spec.knots
    assert knots[0] < next(iter(fixed.values())) < knots[-1]


def test_weights_that_are_no_operands_are_taken_from_exports(monkeypatch):
    from edge_pipeline.compiler.source.weights_at import ByTrail

    network = foreign_network(Bent(), [picture()], fixed={"gain": 0.48, "other": True})
    expected = curve_of(network).curve
    monkeypatch.setattr(ByTrail, "of", lambda *_: None)
    found = curve_of(network, every=True)
    assert "not operands" in found.notes[0] or "gain_range" in found.notes[0]
    np.testing.assert_allclose(found.curve.spec.knots, expected.spec.knots, atol=1e-9)
    for name, value in expected.at(0.49).items():
        np.testing.assert_array_equal(found.curve.at(0.49)[name], value)
