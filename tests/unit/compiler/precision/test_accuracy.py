from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
from PIL import Image

from edge_pipeline.artifact.provenance import ModelCard
from edge_pipeline.compiler.precision.accuracy import loss_of, trial_for
from edge_pipeline.compiler.precision.samples import bundled_files, mask_file, read_mask
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.models.network import Port

SIZE = (48, 64)


def setting(space, channels, gives, classes):
    inputs = (Port("x", channels, "", space),)
    outputs = (Port("y", classes, "", gives),)
    card = ModelCard(
        name="n",
        description="d",
        input_space=space,
        output_space=gives,
        training_data=(),
        licence="none",
    )
    return Geometry(inputs, outputs, 1, 1, 1, None, SIZE, True), card


def half_size(packed):
    """A crude development: the packed colours, each twice along both axes."""
    red, green, blue = packed[:, 0], (packed[:, 1] + packed[:, 2]) / 2, packed[:, 3]
    return np.stack([red, green, blue], 1).repeat(2, 2).repeat(2, 3)


def test_captures_are_scored_against_their_truth():
    geometry, card = setting("packed_bayer_white_balanced", 4, "camera_linear", 3)
    trial = trial_for(geometry, card, SIZE, [])

    def good(inputs):
        return half_size(inputs[0].numpy())

    def dark(inputs):
        return half_size(inputs[0].numpy()) * 0.8

    loss = loss_of("folding", trial, good, dark)
    assert (loss.cause, loss.metric) == ("folding", "psnr_db")
    assert 15 < loss.before < 60
    assert loss.loss == loss.before - loss.after > 2
    assert loss_of("folding", trial, good, good).loss == 0
    assert len({f.sha256 for f in trial.on.files}) == len(trial.on.files) == 6


def test_the_margin_of_a_trimmed_network_is_not_scored():
    whole, card = setting("packed_bayer_white_balanced", 4, "camera_linear", 3)
    trial = trial_for(replace(whole, margin=8), card, SIZE, [])

    def inner(inputs):
        return half_size(inputs[0].numpy())[..., 16:-16, 16:-16]

    loss = loss_of("folding", trial, inner, lambda inputs: inner(inputs) * 0.8)
    assert 15 < loss.before < 60
    assert loss.loss > 2


def test_named_captures_have_no_truth():
    geometry, card = setting("packed_bayer_white_balanced", 4, "camera_linear", 3)
    files = bundled_files("packed_bayer_white_balanced")
    trial = trial_for(geometry, card, SIZE, files)

    def run(inputs):
        return inputs[0].numpy()

    def off(inputs):
        return run(inputs) + 0.01 * np.ptp(run(inputs))

    loss = loss_of("precision", trial, run, off)
    assert (loss.metric, loss.before, loss.loss) == ("psnr_to_before_db", None, None)
    # An error of a hundredth of the values' span is 40 dB.
    assert abs(loss.after - 40) < 0.01


def test_one_class_is_scored_by_its_masks():
    geometry, card = setting("srgb", 3, "logits", 1)
    trial = trial_for(geometry, card, SIZE, [])
    masks = iter([read_mask(mask_file(p), SIZE) for p in bundled_files("srgb")] * 2)

    def right(_):
        return np.where(next(masks), 1.0, -1.0)[None, None].astype(np.float32)

    def nothing(_):
        return -np.ones((1, 1, *SIZE), np.float32)

    loss = loss_of("precision", trial, right, nothing)
    assert (loss.metric, loss.before, loss.after) == ("dice", 1.0, 0.0)


def test_without_masks_the_network_itself_is_the_truth(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)).save(path)
    geometry, card = setting("srgb", 3, "logits", 2)
    trial = trial_for(geometry, card, SIZE, [path])

    def run(inputs):
        return torch.cat([inputs[0][:, :1], 1 - inputs[0][:, :1]], 1).numpy()

    def flipped(inputs):
        scores = run(inputs)
        scores[:, :, : SIZE[0] // 4] = scores[:, ::-1, : SIZE[0] // 4]
        return scores

    loss = loss_of("precision", trial, run, flipped)
    assert loss.metric == "agreement"
    assert 0.74 < loss.after < 0.76
    assert loss.before == 1.0
