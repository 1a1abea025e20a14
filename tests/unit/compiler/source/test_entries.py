import pytest
import torch
from torch import nn
from torch.testing import assert_close

from edge_pipeline.compiler.passes.fold_batch_norm import FoldBatchNorm
from edge_pipeline.compiler.program import run_program
from edge_pipeline.compiler.source import entries
from edge_pipeline.compiler.source.entries import Role
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.shapes import Letters, tensors_of
from edge_pipeline.errors import CompileError, InputError
from edge_pipeline.models.base import build_model
from edge_pipeline.models.network import Port
from tests.programs import lively, network_of
from tests.selection import fast_or_slow

UNET = {"n_fwd": 4, "n_embed": 2, "n_hid": 4, "head": "shuffle"}


class Described(nn.Module):
    """A network of packed captures."""

    stride, min_size, scale, halo = 16, 32, 2, None
    default_size, free_sizes = (64, 64), True
    inputs = outputs = (Port("packed", 4, "a capture", "packed_bayer_white_balanced"),)


@pytest.fixture(scope="module")
def model(small_isp):
    return lively(build_model(small_isp, {}))


@pytest.fixture(scope="module")
def packed():
    return torch.rand(1, 4, 32, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network(model, packed):
    return network_of(model, (packed,))


@pytest.fixture(scope="module")
def free(model, packed):
    return network_of(model, (packed,), free_sizes=True)


def named_outputs(entry):
    return {role.name: value for role, value in zip(entry.outputs, entry.run(), strict=True)}


@pytest.fixture(scope="module")
def filters(network):
    return named_outputs(entries.predictor(network))


@pytest.mark.parametrize(
    ("name", "free_sizes"),
    fast_or_slow(
        [(name, free) for name in ("small_isp", "hyperconv_unet") for free in (False, True)],
        [("small_isp", True), ("hyperconv_unet", False)],
    ),
)
def test_split_programs_put_together_are_the_network(small_isp, name, free_sizes, packed):
    model = lively(build_model(name, {} if name == small_isp else UNET))
    predictor, path = entries.split(network_of(model, (packed,), free_sizes=free_sizes))
    filters = named_outputs(predictor)
    assert [role.name for role in path.inputs] == ["packed", *filters]
    with torch.no_grad():
        expected = model(packed)
    (found,) = path.run((packed, *filters.values()))
    assert torch.allclose(found, expected, atol=1e-6)


def test_filters_are_the_networks_own_by_their_names(model, packed, filters):
    with torch.no_grad():
        expected = model.predict_filters(packed)
    assert set(filters) == set(expected)
    for name, value in filters.items():
        assert torch.allclose(value.flatten(), expected[name].flatten(), atol=1e-6)
        assert value.dim() == 4


def test_layouts_say_which_axes_a_filter_has():
    weights = [Role.of_filter("conv.weight", rank).layout for rank in (1, 2, 3, 4, 5)]
    assert weights == ["O", "OI", "NAB", "OIHW", "NABCD"]
    others = [Role.of_filter("conv.bias", rank).layout for rank in (0, 1, 2, 4)]
    assert others == ["", "O", "NC", "NCHW"]


def test_folded_filters_do_not_follow_the_input(model, network, packed, filters):
    entry = entries.folded(network, filters)
    other = packed * 0.2
    (found,) = entry.run((other,))
    with torch.no_grad():
        assert torch.allclose(found, model.apply_filters(other, model.predict_filters(packed)))
        assert not torch.allclose(found, model(other), atol=1e-3)
    assert set(entry.weights) == set(filters)


def test_the_ablation_has_no_filters_to_fold_or_split(small_isp, packed):
    plain = network_of(build_model(small_isp, {"hyper": False}), (packed,))
    with pytest.raises(InputError, match="--filters dynamic"):
        entries.split(plain)
    with pytest.raises(InputError, match="--filters dynamic"):
        entries.folded(plain, {})


@pytest.mark.parametrize(("height", "width"), [(33, 32), (32, 40), (16, 32), (0, 32)])
def test_sizes_off_the_grid_are_refused(model, height, width):
    with pytest.raises(InputError, match="multiples of 16 from 32"):
        Geometry.of(model).size((height, width), free=False)


def test_free_sizes_are_multiples_of_the_stride(free, filters):
    folded = entries.folded(free, filters)
    for entry in (entries.dynamic(free), folded, entries.split(free)[1]):
        (taken, *_), (given,) = tensors_of(entry.program)
        letters = Letters.of(entry.program)
        assert letters.shape(taken) == (1, 4, "16*h", "16*w")
        assert letters.shape(given) == (1, 3, "32*h", "32*w")
    # And they are sizes that it runs at.
    assert folded.run((torch.rand(1, 4, 64, 32),))[0].shape == (1, 3, 128, 64)


def test_fixed_sizes_are_numbers(network, filters):
    (taken,), (given,) = tensors_of(entries.folded(network, filters).program)
    assert (tuple(taken.shape), tuple(given.shape)) == ((1, 4, 32, 48), (1, 3, 64, 96))


def test_what_torch_cannot_trace_is_said(packed):
    class Branching(Described):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(CompileError, match="torch cannot trace Branching"):
        entries.dynamic(network_of(Branching(), (packed,)))


@pytest.mark.parametrize("free_sizes", [False, True])
def test_a_split_predictor_sees_one_window(model, free_sizes):
    network = network_of(model, (torch.rand(1, 4, 144, 160),), free_sizes=free_sizes)
    predictor, path = entries.split(network, window=128)
    assert predictor.example[0].shape == (1, 4, 128, 128)
    assert path.example[0].shape == (1, 4, 144, 160)


def test_weights_that_grow_with_the_input_are_refused_for_split():
    class Growing(Described):
        """As many coefficients as rows."""

        def forward(self, x):
            rows = x.mean((0, 3)).mean(0, keepdim=True)
            return torch.conv2d(x, rows.reshape(1, 1, -1, 1).expand(4, 1, -1, 1), groups=4)

    network = network_of(Growing(), (torch.rand(1, 4, 144, 160),))
    with pytest.raises(CompileError, match="depend on the input's size"):
        entries.split(network, window=128)
    assert entries.split(network)


@pytest.fixture
def exports(monkeypatch):
    """The list of calls of `torch.export.export`, one entry each."""
    calls, export = [], torch.export.export
    monkeypatch.setattr(
        torch.export, "export", lambda *a, **k: [calls.append(1), export(*a, **k)][1]
    )
    return calls


def test_one_trace_serves_all_programs_of_a_network(model, packed, exports):
    network = network_of(model, (packed,))
    entries.dynamic(network)
    entries.split(network.after(FoldBatchNorm()))
    assert len(exports) == 1


@pytest.mark.parametrize(("free_sizes", "count"), [(True, 1), (False, 2)])
def test_a_free_size_is_exported_once(model, packed, exports, free_sizes, count):
    network = network_of(model, (packed,), free_sizes=free_sizes)
    larger = torch.rand(1, 4, packed.shape[2] + 32, packed.shape[3])
    program = network.sized((larger,), free_sizes=free_sizes).traced()
    assert_close(run_program(program, (larger,))[0], model(larger))
    network.traced()
    assert len(exports) == count
