"""The runtimes' own benchmark programs, replaced by scripts that print their text."""

from pathlib import Path

import pytest

from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.harness.devices.adb.tools import TOOLS, ToolRunner
from edge_pipeline.harness.devices.local_link import LocalLink
from edge_pipeline.harness.devices.runners import Place
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.verification import verification_of
from tests.fakes.artifacts import make_artifact

TEXTS = {
    "benchmark_model": (
        "INFO: Inference timings in us: Init: 4200, First inference: 900, Warmup (avg): 800, "
        "Inference (avg): 750.5"
    ),
    "executor_runner": "I 00:00 Model executed successfully 5 time(s) in 3.7525 ms.",
    "onnxruntime_perf_test": "Average inference time cost total: 0.7505 ms",
}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("tools") / "a b")


@pytest.fixture
def started(artifact, tmp_path):
    link = LocalLink()
    link.connect()
    folder = Path(link.folder)
    (folder / "scratch").mkdir()
    (folder / "tools").mkdir()
    _, outputs = artifact.reference("forward")
    (folder / "outputs").write_bytes(b"".join(value.tobytes() for value in outputs.values()))

    def start(name, script):
        tool = next(tool for tool in TOOLS if tool.name == name)
        source = tmp_path / name
        source.write_text(f"#!/bin/sh\n{script}\n")
        runner = ToolRunner(tool, source)
        runner.install(link, f"{folder}/tools")
        job = Job(artifact, "forward")
        scratch, tools = f"{folder}/scratch", f"{folder}/tools"
        return runner.start(Place(link, job, str(artifact.folder), scratch, tools, 2, None))

    yield start
    link.close()


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_printed_times_are_read(started, name):
    worker = started(name, f"echo '{TEXTS[name]}'")
    loaded = worker.load()
    assert loaded.init_ns == (4_200_000 if name == "benchmark_model" else 0)
    assert [run.elapsed_ns for run in worker.run(2)] == [750_500, 750_500]


@pytest.mark.parametrize(
    ("name", "option", "ending"),
    [
        ("benchmark_model", "--output_filepath=", ""),
        ("executor_runner", "--output_file=", "-0.bin"),
    ],
)
def test_outputs_come_back_and_are_verified(started, artifact, name, option, ending):
    copy = (
        f'for word; do case "$word" in {option}*) '
        f'cp "$(dirname "$0")/../outputs" "${{word#{option}}}{ending}";; esac; done'
    )
    worker = started(name, f"{copy}; echo '{TEXTS[name]}'")
    worker.load()
    found = worker.outputs()
    assert verification_of(artifact, "forward", found, "fp32").result == "passed"


def test_a_program_without_outputs_is_not_verified(started, artifact):
    worker = started("onnxruntime_perf_test", f"echo '{TEXTS['onnxruntime_perf_test']}'")
    assert worker.outputs() is None


def test_failures_are_one_sentence(started):
    with pytest.raises(RuntimeFailure, match=r"benchmark_model .* failed with .*: no such model"):
        started("benchmark_model", "echo no such model >&2; exit 3").load()
    with pytest.raises(RuntimeFailure, match="printed no time"):
        started("executor_runner", "echo done").run(1)
    with pytest.raises(RuntimeFailure, match=r"wrote 3 bytes of outputs instead of \d+"):
        started(
            "benchmark_model",
            'for w; do case "$w" in --output_filepath=*) printf abc > "${w#*=}";; esac; done',
        ).outputs()
