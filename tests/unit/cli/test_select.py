"""`select` as it is typed."""

import json

import pytest

from edge_pipeline.cli.main import main
from edge_pipeline.select.record import RECORDS_FILE, write_sweep
from tests.fakes.sweeps import make_measurement, make_point, make_sweep


@pytest.fixture
def records(tmp_path):
    sweep = make_sweep(
        make_point(0.2, 0.7, 400_000_000, measurements=[make_measurement(15.0, 90_000)]),
        make_point(0.4, 0.92, 600_000_000, measurements=[make_measurement(25.0, 95_000)]),
        make_point(0.5, 0.91, 700_000_000),
    )
    write_sweep(sweep, tmp_path / RECORDS_FILE)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("words", "phi"),
    [
        (["--min-dice", "0.9", "--metric", "latency", "--device", "host"], "0.4"),
        (["--max-latency", "20ms"], "0.2"),
        (["--max-latency", "0.03 s"], "0.4"),
        (["--max-macs", "0.5G"], "0.2"),
        (["--max-macs", "500000000"], "0.2"),
        (["--max-memory", "64MB"], "0.4"),
        (["--max-size", "91kB"], "0.2"),
        (["--min-iou", "0.1"], "0.2"),
        (["--metric", "size"], "0.2"),
    ],
)
def test_the_answer_has_phi_its_figures_and_the_command(records, capsys, words, phi):
    assert main(["select", records, *words]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"phi {phi} of 3 evaluated\n")
    assert "standard deviation" in out
    assert out.splitlines()[-1].startswith("edge-pipeline compile 'runs/a model.safetensors'")
    assert f"--phi {phi} --input 32x48" in out


def test_json_has_the_figures_and_the_command(records, tmp_path, capsys):
    target = tmp_path / "answer.json"
    assert main(["select", records, "--max-latency", "20ms", "--json", str(target)]) == 0
    answer = json.loads(target.read_text())
    assert (answer["phi"], answer["dice"], answer["latency_median_ms"]) == (0.2, 0.7, 15.0)
    assert answer["command"] in capsys.readouterr().out
    assert main(["select", records, "--metric", "dice", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["phi"] == 0.4


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--min-dice", "0.95"], 1, "nearest is phi 0.4 with Dice 0.92"),
        (["--min-dice", "0.9", "--max-latency", "20ms"], 1, "none of the 2 measured points"),
        ([], 2, "nothing to choose by"),
        (["--min-dice", "2"], 2, "--min-dice 2"),
        (["--max-latency", "20"], 2, "units us, ms, s, as in 20ms"),
        (["--max-latency", "-1ms"], 2, "--max-latency -1ms"),
        (["--max-size", "0MB"], 2, "--max-size 0MB"),
        (["--max-macs", "1.2.3G"], 2, "--max-macs 1.2.3G"),
        (["--metric", "latency", "--device", "phone"], 2, "they have host"),
        (["--metric", "beauty"], 2, "beauty"),
    ],
)
def test_errors_are_one_sentence(records, capsys, words, code, message):
    assert main(["select", records, *words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_absent_records_are_refused(tmp_path, capsys):
    assert main(["select", str(tmp_path / "none"), "--metric", "dice"]) == 2
    assert "none" in capsys.readouterr().err
