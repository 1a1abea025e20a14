import pytest
import torch

from edge_pipeline.errors import InputError
from edge_pipeline.models import hyperconv_isp
from edge_pipeline.models.base import build_model
from edge_pipeline.models.cost import cost_of

SMALL = {"width": 8, "coarse": 12, "n_basis": 2}


def build(seed=0, **options):
    """A small network whose last layer does more than it does at the start."""
    model = build_model("hyperconv_isp", SMALL | options, seed=seed)
    with torch.no_grad():
        model.leave.weight *= 50
        for name, parameter in model.named_parameters():
            if "basis" in name:
                parameter += 0.1 * torch.randn_like(parameter)
    return model


def capture(n=1, height=32, width=48, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 4, height, width, generator=generator, dtype=dtype)


@pytest.mark.parametrize("size", [(20, 20), (32, 48), (24, 64)])
def test_a_picture_has_twice_the_size_of_the_packed_capture(size):
    picture = build()(capture(2, *size))
    assert picture.shape == (2, 3, 2 * size[0], 2 * size[1])
    assert picture.isfinite().all()


def test_forward_is_predict_then_apply():
    model, x = build(), capture(2)
    torch.testing.assert_close(model.apply_filters(x, model.predict_filters(x)), model(x))


def test_every_sample_has_its_own_filters():
    model, x = build(), capture(2)
    x[1] *= 0.2
    torch.testing.assert_close(model(x)[1:], model(x[1:]), atol=1e-5, rtol=1e-4)
    weight = model.predict_filters(x)["leave.weight"]
    assert not torch.allclose(weight[0], weight[1])


def test_equal_samples_share_the_filters_that_each_would_have():
    model, x = build(), capture().repeat(3, 1, 1, 1)
    shared = {name: v.mean(0, keepdim=True) for name, v in model.predict_filters(x).items()}
    assert shared["leave.weight"].shape == (1, 57, 8, 1, 1)
    assert shared["leave.bias"].shape == (1, 57)
    torch.testing.assert_close(model.apply_filters(x, shared), model(x), atol=1e-5, rtol=1e-4)


def test_a_fresh_network_is_nearly_the_directional_demosaicing_where_there_is_no_noise():
    model = build_model("hyperconv_isp", SMALL)
    colour = torch.tensor([0.6, 0.3, 0.3, 0.1]).view(1, 4, 1, 1)
    picture = model(colour.expand(1, 4, 64, 64))[..., 48:-48, 48:-48]
    expected = colour[:, [0, 1, 3]].expand_as(picture)
    assert float((picture - expected).detach().abs().max()) < 0.01


def test_the_correction_grows_with_the_noise():
    model = build()
    flat = torch.full((1, 4, 64, 64), 0.3)
    noisy = flat + 0.1 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    quiet, loud = (model.predict_filters(x)["leave.weight"] for x in (flat, noisy))
    assert loud.square().mean() > 100 * quiet.square().mean()


@pytest.mark.parametrize(
    "options",
    [{}, {"within": 3}, {"before": 2, "after": 3}, {"width": 4, "coarse": 4, "after": 1}],
)
def test_it_sees_no_further_than_its_halo(options):
    """With given filters, a change of one packed pixel reaches `halo` pixels and no more."""
    model = build(**options).double()
    halo = model.halo
    side = 2 * halo + 32
    x = capture(1, 20, side, torch.float64)
    with torch.no_grad():
        filters = model.predict_filters(x)
        whole = model.apply_filters(x, filters)
        reach = 0
        for at in range(halo + 8, halo + 16):
            changed = x.clone()
            changed[..., at] += 0.5
            delta = model.apply_filters(changed, filters) - whole
            columns = delta.abs().amax((0, 1, 2)).nonzero().flatten() // 2
            reach = max(reach, at - int(columns.min()), int(columns.max()) - at)
    assert halo - 8 < reach <= halo
    assert halo % model.stride == 0


def trimmed_and_whole(model, height, width):
    """The trimmed output for given filters, and the whole one without the margin."""
    x = capture(1, height, width, torch.float64)
    with torch.no_grad():
        filters = model.predict_filters(x)
        whole = model.apply_filters(x, filters)
        model.trim()
        trimmed = model.apply_filters(x, filters)
    left = 2 * model.margin
    return trimmed, whole[..., left:-left, left:-left]


@pytest.mark.parametrize(
    "options", [{}, {"within": 1, "after": 1}, {"before": 2, "after": 3, "width": 4}]
)
def test_a_trimmed_network_gives_the_same_picture_where_tiles_keep_it(options):
    model = build(**options).double()
    halo = model.halo
    trimmed, whole = trimmed_and_whole(model, 2 * halo + 8, 2 * halo + 20)
    assert 0 < model.margin < halo
    assert trimmed.shape == whole.shape
    rest = 2 * (halo - model.margin)
    inside = (..., slice(rest, -rest), slice(rest, -rest))
    torch.testing.assert_close(trimmed[inside], whole[inside], atol=1e-12, rtol=0)


def test_a_network_that_is_trimmed_too_much_is_seen(monkeypatch):
    """The planted fault for the tolerance above: nothing is left for the reach of the bands."""
    monkeypatch.setattr(hyperconv_isp, "_LAST_REACH", 0)
    model = build().double()
    trimmed, whole = trimmed_and_whole(model, 96, 96)
    assert (trimmed - whole).abs().max() > 1e-4


def test_a_trimmed_network_accepts_its_smallest_size():
    model = build()
    model.trim()
    side = model.min_size
    assert model(capture(1, side, side)).shape == (1, 3, 8, 8)


def test_the_path_costs_at_most_6600_macs_a_mosaic_pixel():
    model = build_model("hyperconv_isp")
    height, width = model.default_size
    cost = cost_of(model, (1, 4, height, width))
    assert 6000 < cost.path.macs / (4 * height * width) <= 6600


def test_the_predictor_is_cheap_beside_the_path():
    cost = cost_of(build_model("hyperconv_isp"), (1, 4, 256, 256))
    assert cost.predictor.macs < 0.5 * cost.path.macs


def test_parameters_are_the_predictors_mixtures_and_the_constant_layers():
    model = build_model("hyperconv_isp")
    assert cost_of(model, (1, 4, 64, 64)).params == sum(p.numel() for p in model.parameters())


def test_bfloat16_keeps_the_demosaicing_in_single_precision():
    """Of a clean capture the correction is small, so nearly all comes from the demosaicing."""
    model = build_model("hyperconv_isp")
    x = (torch.arange(48) / 50).expand(1, 4, 32, 48)
    plain = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(x)
    assert mixed.dtype == torch.float32
    assert not torch.equal(mixed, plain)  # convolutions did run in bfloat16
    assert float((mixed - plain).detach().abs().max()) < 5e-4
    rounded = plain.to(torch.bfloat16) - plain  # the planted fault: all of it in bfloat16
    assert float(rounded.detach().abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["width", "coarse", "before", "within", "after", "n_basis"])
def test_wrong_options_are_one_sentence(name):
    with pytest.raises(InputError, match=f"{name}=0 must be at least 1"):
        build_model("hyperconv_isp", {name: 0})
