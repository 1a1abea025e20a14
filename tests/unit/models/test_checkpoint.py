import json

import pytest
import safetensors.torch
import torch

from edge_pipeline.errors import CheckpointError, InputError
from edge_pipeline.models.base import build_model
from edge_pipeline.models.checkpoint import load_checkpoint, save_checkpoint

SMALL = {"n_fwd": 4, "n_embed": 4, "n_hid": 8}


@pytest.fixture
def saved(tmp_path):
    model = build_model("hyperconv_unet", SMALL, seed=7)
    path = tmp_path / "model.safetensors"
    save_checkpoint(
        path,
        model="hyperconv_unet",
        options=SMALL,
        state=model.state_dict(),
        card={"name": "small"},
    )
    return path, model


def test_round_trip(saved):
    path, model = saved
    checkpoint = load_checkpoint(path)
    assert checkpoint.card == {"name": "small"}
    assert checkpoint.options["head"] == "published"
    x = torch.rand(1, 4, 32, 32)
    assert torch.equal(checkpoint.build()(x), model(x))


def test_missing_truncated_and_foreign_files_are_refused(saved, tmp_path):
    path, _ = saved
    with pytest.raises(CheckpointError, match="is not a file"):
        load_checkpoint(tmp_path / "absent.safetensors")
    with pytest.raises(CheckpointError, match="is not a file"):
        load_checkpoint(tmp_path)
    for length in (0, 5, 1000, path.stat().st_size - 1):
        cut = tmp_path / f"cut{length}.safetensors"
        cut.write_bytes(path.read_bytes()[:length])
        with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
            load_checkpoint(cut)
    foreign = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"x": torch.ones(1)}, foreign)
    with pytest.raises(CheckpointError, match="no edge-pipeline description"):
        load_checkpoint(foreign)


def test_weights_of_another_network_are_refused(saved):
    path, model = saved
    save_checkpoint(
        path,
        model="hyperconv_unet",
        options=SMALL | {"n_fwd": 8},
        state=model.state_dict(),
        card={},
    )
    with pytest.raises(CheckpointError, match="do not fit hyperconv_unet"):
        load_checkpoint(path).build()


@pytest.mark.parametrize(
    "metadata",
    [
        {"model": "unheard_of"},
        {"options": "{"},
        {"options": json.dumps({"depth": 3})},
        {"card": ""},
    ],
)
def test_wrong_description_is_refused(saved, metadata):
    path, model = saved
    good = {
        "edge_pipeline.checkpoint": "1",
        "model": "hyperconv_unet",
        "options": "{}",
        "card": "{}",
    }
    safetensors.torch.save_file(model.state_dict(), path, metadata=good | metadata)
    with pytest.raises(CheckpointError, match="describes its network wrongly"):
        load_checkpoint(path)


def test_many_missing_weights_make_a_short_sentence(tmp_path):
    path = tmp_path / "model.safetensors"
    state = {"a": torch.zeros(3)}
    save_checkpoint(path, model="hyperconv_unet", options=SMALL, state=state, card={})
    with pytest.raises(CheckpointError, match=r'"embed\.0\.weight" and \d+ more$') as caught:
        load_checkpoint(path).build()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(InputError, match=f"the seed {seed} is out of range"):
        build_model("hyperconv_unet", SMALL, seed=seed)


def test_a_network_larger_than_memory_is_refused():
    with pytest.raises(InputError, match=r"n_fwd=4096.* has \d+ parameters.* make it smaller"):
        build_model("hyperconv_unet", SMALL | {"n_fwd": 4096})


@pytest.mark.parametrize(
    ("name", "option", "most"),
    [("hyperconv_unet", "n_fwd", 4096), ("phi_unet_pets", "height", 65536)],
)
@pytest.mark.parametrize("value", [10**6, "10000000", 10**30])
def test_an_absurd_option_is_refused_with_its_range(name, option, most, value):
    with pytest.raises(InputError, match=f"{option}={value} .* up to {most}$"):
        build_model(name, {option: value})


def test_widths_in_a_text_are_counted_before_they_are_allocated():
    with pytest.raises(InputError, match=r"encoder=1000000-3.* parameters, and at most 536870912"):
        build_model("phi_unet_pets", {"encoder": "1000000-3", "decoder": "4"})
