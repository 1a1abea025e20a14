import pytest
import torch
from torch import nn

from edge_pipeline.compiler.source import entries
from edge_pipeline.compiler.source.entries import as_filter_network, export
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.shapes import Letters, tensors_of
from edge_pipeline.errors import CompileError, InputError
from edge_pipeline.models.base import build_model
from edge_pipeline.models.network import Port
from tests.programs import lively

SMALL = {"n_fwd": 4, "n_embed": 2, "n_hid": 4, "head": "shuffle"}


@pytest.fixture(scope="module")
def model():
    return lively(build_model("hyperconv_unet", SMALL))


@pytest.fixture(scope="module")
def packed():
    return torch.rand(1, 4, 32, 48, generator=torch.Generator().manual_seed(0))


def named_outputs(entry):
    return {role.name: value for role, value in zip(entry.outputs, entry.run(), strict=True)}


@pytest.fixture(scope="module")
def filters(model, packed):
    with torch.no_grad():
        return model.predict_filters(packed)


def test_split_programs_put_together_are_the_network(model, packed):
    predictor, path = entries.split(model, (packed,))
    filters = named_outputs(predictor)
    assert [role.name for role in path.inputs] == ["packed", *filters]
    with torch.no_grad():
        expected = model(packed)
    (found,) = path.run((packed, *filters.values()))
    assert torch.allclose(found, expected, atol=1e-6)


def test_folded_filters_do_not_follow_the_input(model, packed, filters):
    entry = entries.given(model, (packed,), filters)
    other = packed * 0.2
    (found,) = entry.run((other,))
    with torch.no_grad():
        assert torch.allclose(found, model.apply_filters(other, filters))
        assert not torch.allclose(found, model(other), atol=1e-3)


def test_the_ablation_has_no_filters_to_fold_or_split(packed):
    plain = build_model("hyperconv_unet", {**SMALL, "hyper": False})
    with pytest.raises(InputError, match="--filters dynamic"):
        entries.split(plain, (packed,))
    with pytest.raises(InputError, match="--filters dynamic"):
        entries.given(plain, (packed,), {})


def test_a_network_without_the_two_methods_is_refused():
    with pytest.raises(InputError, match="Conv2d predicts no filters"):
        as_filter_network(nn.Conv2d(4, 3, 3))


@pytest.mark.parametrize(("height", "width"), [(33, 32), (32, 40), (16, 32), (0, 32)])
def test_sizes_off_the_grid_are_refused(model, height, width):
    with pytest.raises(InputError, match="multiples of 16 from 32"):
        Geometry.of(model).size((height, width), free=False)


def test_free_sizes_are_multiples_of_the_stride(model, packed, filters):
    entry = entries.given(model, (packed,), filters)
    program = export(entry, Geometry.of(model), free_sizes=True)
    (taken,), (given,) = tensors_of(program)
    letters = Letters.of(program)
    assert letters.shape(taken) == (1, 4, "16*h", "16*w")
    assert letters.shape(given) == (1, 3, "32*h", "32*w")


def test_fixed_sizes_are_numbers(model, packed, filters):
    entry = entries.given(model, (packed,), filters)
    (taken,), (given,) = tensors_of(export(entry, Geometry.of(model), free_sizes=False))
    assert (tuple(taken.shape), tuple(given.shape)) == ((1, 4, 32, 48), (1, 3, 64, 96))


def test_what_torch_cannot_trace_is_said(packed):
    class Branching(nn.Module):
        stride, min_size, scale, halo = 16, 32, 2, None
        default_size, free_sizes = (64, 64), True
        inputs = outputs = (Port("packed", 4, "a capture", "packed_bayer_white_balanced"),)

        def forward(self, x):
            return x if x.sum() > 0 else -x

    model = Branching()
    entry = entries.dynamic(model, (packed,))
    with pytest.raises(CompileError, match="torch cannot trace forward"):
        export(entry, Geometry.of(model), free_sizes=False)


def test_a_split_predictor_sees_one_window(model):
    predictor, path = entries.split(model, (torch.rand(1, 4, 144, 160),))
    assert predictor.example[0].shape == (1, 4, 128, 128)
    assert path.example[0].shape == (1, 4, 144, 160)
