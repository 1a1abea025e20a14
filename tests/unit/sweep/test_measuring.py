"""Artifacts are measured in groups, compiled once, and kept after an interruption."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

from edge_pipeline.errors import RuntimeFailure, UnknownNameError
from edge_pipeline.select.record import read_sweep, write_sweep
from edge_pipeline.sweep import measuring
from edge_pipeline.sweep.measuring import GROUP, Measuring, measure_points, program_bytes
from tests.fakes.artifacts import make_artifact
from tests.fakes.records import make_record
from tests.fakes.sweeps import make_point, make_sweep

PHIS = [k / 100 for k in range(1, 2 * GROUP + 6)]


class _Bench:
    """Returns records without measuring, until it fails."""

    def __init__(self, fails_at=None):
        self.groups, self._fails_at = [], fails_at

    def __call__(self, folders, device, settings, *, on_step):
        if len(self.groups) == self._fails_at:
            raise RuntimeFailure("the process ended")
        self.groups.append([float(folder.name.removeprefix("onnx-phi-")) for folder in folders])
        return [make_record(str(folder)) for folder in folders]


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """The phis that were compiled; a compilation makes a folder with a file."""
    found = []

    class Compiled:
        def __init__(self, folder):
            self.folder = folder

    def artifact(setting, phi, how, folder):
        path = folder / "artifacts" / f"{how.backend}-phi-{phi:g}"
        found.append(phi)
        return Compiled(path)

    monkeypatch.setattr(measuring, "_artifact", artifact)
    monkeypatch.setattr(measuring, "program_bytes", lambda _artifact: 7)
    return found


def _measure(folder, sweep, bench, monkeypatch, steps=None):
    monkeypatch.setattr(measuring, "bench", bench)
    return measure_points(
        sweep,
        PHIS,
        Measuring("onnx"),
        folder,
        save=lambda found: write_sweep(found, folder / "records.json"),
        on_step=([] if steps is None else steps).append,
    )


def _sweep():
    return make_sweep(*(make_point(phi, 0.5, 10) for phi in PHIS))


@pytest.mark.usefixtures("compiled")
def test_groups_are_small_and_cover_the_range(tmp_path, monkeypatch):
    bench, steps = _Bench(), []
    sweep = _measure(tmp_path, _sweep(), bench, monkeypatch, steps)
    assert sorted(phi for group in bench.groups for phi in group) == PHIS
    for group in bench.groups:
        assert len(group) <= GROUP
        assert group[0] < 0.04
        assert group[-1] > PHIS[-1] - 0.04
    assert all(point.measurements[0].artifact_bytes == 7 for point in sweep.points)
    assert sweep.points[0].measurements[0].record.artifact == "artifacts/onnx-phi-0.01"
    count = len(PHIS)
    assert [text.split(" (")[1] for text in steps] == [f"{k + 1} of {count})" for k in range(count)]
    assert read_sweep(tmp_path) == sweep


def test_groups_before_a_failure_are_kept_and_not_measured_again(tmp_path, compiled, monkeypatch):
    first, second = _Bench(1), _Bench()
    with pytest.raises(RuntimeFailure):
        _measure(tmp_path, _sweep(), first, monkeypatch)
    kept = read_sweep(tmp_path)
    assert [p.phi for p in kept.points if p.measurements] == first.groups[0]
    compiled.clear()
    _measure(tmp_path, kept, second, monkeypatch)
    assert not set(compiled) & set(first.groups[0])
    assert sorted(compiled + first.groups[0]) == PHIS
    assert all(point.measurements for point in read_sweep(tmp_path).points)


def test_the_size_is_that_of_the_model_files(tmp_path):
    artifact = make_artifact(tmp_path / "a", filters="split")
    names = {program.file for program in artifact.manifest.programs}
    assert len(names) == 2
    assert program_bytes(artifact) == sum((artifact.folder / n).stat().st_size for n in names)


@pytest.mark.parametrize("names", [("abacus", "host"), ("onnx", "abacus")])
def test_unknown_backends_and_devices_are_refused(names):
    pytest.importorskip("onnx", reason="the backend onnx needs the extra onnx")
    with pytest.raises(UnknownNameError, match="abacus"):
        Measuring(*names).check()
