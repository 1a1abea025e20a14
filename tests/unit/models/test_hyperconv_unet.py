import pytest
import torch

from edge_pipeline.errors import InputError, UnknownNameError
from edge_pipeline.models.base import build_model, options_of

SMALL = {"n_fwd": 4, "n_embed": 4, "n_hid": 8}


@pytest.mark.parametrize("head", ["published", "shuffle"])
@pytest.mark.parametrize("hyper", [True, False])
@pytest.mark.parametrize("size", [(32, 32), (48, 80)])
def test_picture_has_twice_the_size_of_the_packed_capture(head, hyper, size):
    model = build_model("hyperconv_unet", SMALL | {"head": head, "hyper": hyper})
    assert model(torch.rand(2, 4, *size)).shape == (2, 3, 2 * size[0], 2 * size[1])


@pytest.mark.parametrize("head", ["published", "shuffle"])
def test_forward_is_predict_then_apply(head):
    model = build_model("hyperconv_unet", SMALL | {"head": head})
    x = torch.rand(2, 4, 32, 48)
    torch.testing.assert_close(model.apply_filters(x, model.predict_filters(x)), model(x))


def test_every_sample_has_its_own_filters():
    model = build_model("hyperconv_unet", SMALL)
    x = torch.rand(2, 4, 32, 32)
    x[1] *= 0.2
    torch.testing.assert_close(model(x)[1:], model(x[1:]), atol=1e-6, rtol=1e-5)
    weight = model.predict_filters(x)["hyper_conv2.weight"]
    assert not torch.allclose(weight[0], weight[1])


def test_ablation_predicts_nothing():
    model = build_model("hyperconv_unet", SMALL | {"hyper": False})
    x = torch.rand(1, 4, 32, 32)
    assert model.predict_filters(x) == {}
    torch.testing.assert_close(model.apply_filters(x, {}), model(x))


def test_shuffle_head_sees_no_further_than_its_halo():
    """With given filters, a change of one packed pixel reaches `halo` pixels and no more."""
    torch.manual_seed(0)
    model = build_model("hyperconv_unet", SMALL | {"head": "shuffle"}).double()
    halo = model.halo
    side = 2 * halo + 64
    x = torch.rand(1, 4, side, side, dtype=torch.float64)
    filters = model.predict_filters(x)
    reach = 0
    for at in range(halo + 16, halo + 32):
        changed = x.clone()
        changed[..., at] += 0.5
        delta = model.apply_filters(changed, filters) - model.apply_filters(x, filters)
        columns = delta.abs().amax((0, 1, 2)).nonzero().flatten() // 2
        reach = max(reach, at - int(columns.min()), int(columns.max()) - at)
    assert halo - 16 < reach <= halo


def test_a_trimmed_network_gives_the_same_picture_where_tiles_keep_it():
    torch.manual_seed(0)
    model = build_model("hyperconv_unet", SMALL | {"head": "shuffle"}).double()
    x = torch.rand(1, 4, 2 * model.halo + 16, 2 * model.halo + 32, dtype=torch.float64)
    with torch.no_grad():
        filters = model.predict_filters(x)
        whole = model.apply_filters(x, filters)
        model.trim()
        trimmed = model.apply_filters(x, filters)
        again = model.predict_filters(x)
    left, kept = 2 * model.margin, 2 * (model.halo - model.margin)
    inside = (..., slice(kept, -kept), slice(kept, -kept))
    expected = whole[..., left:-left, left:-left]
    assert trimmed.shape == expected.shape
    torch.testing.assert_close(trimmed[inside], expected[inside], atol=1e-12, rtol=0)
    assert all(torch.equal(again[name], value) for name, value in filters.items())


def test_the_published_head_cannot_be_trimmed():
    with pytest.raises(InputError, match="head=shuffle, or leave out --trimmed"):
        build_model("hyperconv_unet", SMALL).trim()


def test_published_head_is_not_tileable():
    assert build_model("hyperconv_unet", SMALL).halo is None


def test_same_seed_same_weights_and_torch_is_left_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second, third = (
        build_model("hyperconv_unet", SMALL, seed=seed).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(not torch.equal(first[k], third[k]) for k in first)


def test_options_are_parsed_from_text():
    options = options_of("hyperconv_unet", {"n_fwd": "64", "hyper": "False", "head": "shuffle"})
    assert options["n_fwd"] == 64
    assert options["hyper"] is False
    assert options["n_embed"] == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_fwd": "x"}, "n_fwd=x must be a whole number"),
        ({"n_fwd": 7}, "n_fwd=7 must be even"),
        ({"hyper": "maybe"}, "hyper=maybe must be true or false"),
        ({"head": "other"}, "head=other must be one of published, shuffle"),
        ({"n_forward": 1}, "no option 'n_forward'; it has"),
        ({"in_channels": 0}, "in_channels=0 must be at least 1"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(InputError, match=message):
        build_model("hyperconv_unet", options)


def test_unknown_model_lists_those_there_are():
    with pytest.raises(UnknownNameError, match="hyperconv_unet"):
        build_model("resnet")
