import json
import re
from pathlib import Path

import pytest

from edge_pipeline.errors import InputError
from edge_pipeline.models.cost import cost_of_name
from edge_pipeline.train.recipe import Recipe, load_recipe, recipe_names, settings_of
from edge_pipeline.train.tasks.isp import Settings
from tests.fakes.trainings import ISP, isp_recipe


def test_recipes_of_the_package_are_valid_and_the_papers_defaults_are_the_papers():
    for name in recipe_names():
        assert load_recipe(name).name == name
    optimiser = Recipe.model_fields["optimiser"].default
    assert (optimiser.learning_rate, optimiser.betas, optimiser.batch) == (5e-6, (0.7, 0.95), 8)
    assert (optimiser.clip, optimiser.precision) == (0, "32-true")
    assert not Settings.model_fields["shared_filters"].default


def test_the_recipe_of_the_documentation_is_valid(tmp_path):
    page = Path(__file__).parents[3] / "docs" / "how-to" / "train.md"
    (text,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    (tmp_path / "cells.yaml").write_text(text)
    settings = settings_of(load_recipe(str(tmp_path / "cells.yaml")))
    assert settings.dataset == "folder"


@pytest.mark.parametrize(("name", "macs"), [("isp_default", 6_600), ("isp_large", 60_000)])
def test_the_recipes_networks_cost_what_they_may_a_mosaic_pixel(name, macs):
    chosen = load_recipe(name)
    cost = cost_of_name(chosen.model, chosen.options, (4, 256, 256))
    assert 0.9 * macs < cost.path.macs / (4 * 256 * 256) <= macs


def test_the_large_recipe_trains_on_the_default_ones_captures():
    default, large = load_recipe("isp_default"), load_recipe("isp_large")
    assert settings_of(large) == settings_of(default)


def test_a_small_crop_is_taken_if_the_loss_has_no_ms_ssim():
    settings = settings_of(isp_recipe({"crop": 32, "loss": {"ms_ssim": 0}}))
    assert settings.crop == 32


TOP = {"name": "x", "task": "isp", "model": "hyperconv_unet", "settings": ISP}


SEGMENTATION = {"dataset": "folder", "validation_phi": [0.3]}


def isp(**settings):
    return json.dumps(TOP | {"settings": ISP | settings})


def top(**fields):
    return json.dumps(TOP | fields)


def segmentation(options=None, **settings):
    fields = {"task": "segmentation", "model": "phi_unet_pets", "options": options or {}}
    return json.dumps(TOP | fields | {"settings": SEGMENTATION | settings})


WRONG = [  # JSON is YAML
    ("name: [", "is not YAML from line 1; correct its syntax"),
    (isp(crop=100), r"settings\.crop: 100 must be a multiple of 16"),
    (isp(crop=16), r"settings\.crop: Input should be greater than or equal to 32"),
    (isp(crop=64), "crop is 64; MS-SSIM in the loss requires at least 88"),
    (isp(crop=96, loss={"border": 8}), "crop is 96; .* at least 104"),
    (isp(loss={"border": 17}), r"settings\.loss\.border: Input should be less than"),
    (isp(phi=1), r"settings\.phi: Extra inputs are not permitted"),
    (top(optimiser={"clip": -1}), "clip: Input should be greater than"),
    (top(optimiser={"precision": "half"}), "precision: Input .* '32-true' or .*, not 'half'"),
    (top(seed=-1), "seed: Input should be greater than or equal to 0"),
    (top(options={"in_channels": 3}), r"options\.in_channels: 3 does not fit"),
    (top(options={"out_channels": 1}), r"options\.out_channels: 1 does not fit"),
    (top(options={"width": 1}), "hyperconv_unet has no option 'width'"),
    (top(optimiser={"betas": [0.9, 1.5]}), r"betas\.1: Input should be less than 1"),
    (top(optimiser={"learning_rate": float("inf")}), "learning_rate: .*"),
    (top(optimiser={"patience": -1}), "patience: .* greater than or equal to 0, not -1"),
    (top(colour="red"), "colour: Extra inputs are not permitted"),
    (top(task="painting"), "no task is called 'painting'; choose from isp, segmentation"),
    (top(model="vgg"), "no network is called 'vgg'"),
    (top(settings={}), r"settings\.data: Field required"),
    (
        top(model="phi_unet_pets", options={"in_channels": 4, "out_channels": 3}),
        "phi_unet_pets does not fit the task isp: it maps srgb to logits",
    ),
    (segmentation(prior={"low": 0}), r"settings\.prior\.low: .* greater than 0, not 0"),
    (segmentation(validation_phi=[0.3, 0]), r"settings\.validation_phi: 0.0 is outside"),
    (segmentation(validation_phi=[0.7]), "0.7 is outside the network's range .* 0.0 to 0.6"),
    (segmentation({"phi_min": 0.1}, prior={"low": 0.05}), r"settings\.prior: 0.05 is outside"),
    (segmentation(validation_phi=[]), "validation_phi: .* at least 1 item"),
    (segmentation(loss={"cross_entropy": 0}), "cross_entropy and dice are both 0"),
    (segmentation(crop=[0, 16]), r"settings\.crop\.0: .* greater than or equal to 1"),
    (segmentation(augmentation={"zoom": [0, 1]}), r"zoom\.0: .* greater than or equal to 0.05"),
    (segmentation(augmentation={"zoom": [2, 1]}), "smallest factor 2.0 exceeds the largest, 1.0"),
    (
        json.dumps(TOP | {"task": "segmentation", "settings": SEGMENTATION}),
        "hyperconv_unet does not fit the task segmentation",
    ),
    ("name: x", "task: Field required"),
    ("- 1", "the recipe: Input should be a valid dictionary"),
    ("", "the recipe: Input should be a valid dictionary"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_wrong_recipe_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_recipe(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_does_not_exist_or_is_no_text_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no recipe 'unheard'"):
        load_recipe("unheard")
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"r\.yaml is not text in UTF-8"):
        load_recipe(str(tmp_path / "r.yaml"))
