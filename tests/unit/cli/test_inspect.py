"""`inspect` as it is typed."""

import json

import pytest

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.cli.main import main
from edge_pipeline.models.base import build_model
from edge_pipeline.models.checkpoint import save_checkpoint
from edge_pipeline.models.cost import cost_of_name
from edge_pipeline.record import COST_FILE, Cost, CostRecord, LayerCost
from tests.fakes.artifacts import make_artifact, make_files

KEYS = {"model", "options", "input", "params", "macs", "flops", "layers"}
LAYER_KEYS = {"name", "op", "params", "macs", "output_shape"}
SMALL = {"n_fwd": 8, "n_embed": 4, "n_hid": 16}
SETTINGS = ["-s", "n_fwd=8", "-s", "n_embed=4", "-s", "n_hid=16"]


def _json(capsys, *words):
    assert main(["inspect", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_name_at_twelve_megapixels(capsys):
    words = ("hyperconv_unet", "-s", "n_fwd=64", "-s", "n_embed=32", "-s", "n_hid=2048")
    cost = _json(capsys, *words, "--input", "4x1536x2048")
    assert set(cost) >= KEYS
    assert all(set(layer) >= LAYER_KEYS for layer in cost["layers"])
    assert cost["params"] == 276_049_571
    assert round(cost["flops"] / 1e12, 2) == 0.74
    assert cost["flops"] == 2 * cost["macs"] == 2 * sum(layer["macs"] for layer in cost["layers"])
    assert cost["input"] == [4, 1536, 2048]
    assert cost["options"]["head"] == "published"


def test_a_table_has_both_parts(capsys):
    assert main(["inspect", "hyperconv_unet", *SETTINGS]) == 0
    table = capsys.readouterr().out
    for word in ("hyper_conv4.outf.0", "computing the weights", "using them", "4x256x256"):
        assert word in table


def test_a_checkpoint_is_its_network(tmp_path, capsys):
    path = tmp_path / "a.safetensors"
    state = build_model("hyperconv_unet", SMALL).state_dict()
    save_checkpoint(path, model="hyperconv_unet", options=SMALL, state=state, card={})
    assert _json(capsys, str(path)) == _json(capsys, "hyperconv_unet", *SETTINGS)


def test_an_artifact_says_what_it_recorded(tmp_path, capsys):
    layer = LayerCost(
        name="a", op="conv2d", params=5, macs=7, flops=14, output_shape=(1, 2), part="path"
    )
    recorded = CostRecord.build(
        Cost.of([layer]), model="hyperconv_unet", options={"head": "shuffle"}, input=(4, 32, 32)
    )
    manifest, files = make_files()
    files[COST_FILE] = recorded.json_text().encode()
    folder = tmp_path / "a"
    write_artifact(folder, manifest, files, force=False)
    assert _json(capsys, str(folder)) == json.loads(recorded.json_text())


@pytest.mark.parametrize("form", ["folded", "split"])
def test_an_artifact_that_recorded_nothing_is_counted_by_its_source(tmp_path, capsys, form):
    folder = make_artifact(tmp_path / "a", filters=form).folder
    whole = cost_of_name("hyperconv_unet", {"head": "shuffle"}, (4, 64, 64))
    expected = whole.path_only() if form == "folded" else whole
    assert _json(capsys, str(folder), "--input", "4x64x64")["macs"] == expected.macs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "nothing is neither a network"),
        (["hyperconv_unet", "-s", "colour=red"], "colour"),
        (["hyperconv_unet", "-s", "n_fwd"], "n_fwd"),
        (["hyperconv_unet", "-s", "n_fwd=7"], "n_fwd=7"),
        (["hyperconv_unet", "--input", "4x100x64"], "100"),
        (["hyperconv_unet", "--input", "1x64x64"], "4 channels"),
        (["hyperconv_unet", "--input", "64x64"], "CxHxW"),
    ],
)
def test_what_cannot_be_inspected_ends_with_two(capsys, words, message):
    assert main(["inspect", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--json"], ["-s", "n_fwd=8"]])
def test_an_option_that_does_not_apply_to_an_own_network_is_an_error(capsys, option):
    assert main(["inspect", "package.module:factory", *option]) == 2
    message = f"{option[0]} does not apply to package.module:factory"
    assert message in capsys.readouterr().err


def test_a_foreign_file_folder_or_setting_is_refused(tmp_path, capsys):
    folder = make_artifact(tmp_path / "a").folder
    assert main(["inspect", str(folder), "-s", "n_fwd=8"]) == 2
    assert "has its own options" in capsys.readouterr().err
    foreign = tmp_path / "x.safetensors"
    foreign.write_bytes(b"no weights")
    assert main(["inspect", str(foreign)]) == 2
    assert "x.safetensors" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
