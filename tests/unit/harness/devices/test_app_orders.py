"""Orders to the Android app, and its answers, with a link that answers as `am instrument` does."""

import json
import shutil

import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError, RuntimeFailure
from edge_pipeline.files import sha256_of
from edge_pipeline.harness.devices.adb.app import AppRunner
from edge_pipeline.harness.devices.adb.instrumentation import results_of
from edge_pipeline.harness.devices.base import DeviceLostError
from edge_pipeline.harness.devices.link import Answer
from edge_pipeline.harness.devices.runners import Place, choose_runner
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import TimedRun
from tests.fakes.artifacts import make_artifact

SESSION = "edge_pipeline-0123456789ab"
FOLDER = f"/storage/emulated/0/Android/data/org.edgepipeline.app/files/bench/{SESSION}"
DESCRIBED = {"protocol": 1, "app": "0.1", "backends": {"litert": "2.16.1", "onnx": "1.23.0"}}
ANSWERS = {
    "describe": DESCRIBED,
    "load": {"import_ns": 1, "init_ns": 2, "versions": {"onnx": "1.23.0"}},
    "run": {"runs": [[5, 0], [6, 1]]},
    "memory": {"memory": None},
    "outputs": {"outputs": f"{FOLDER}/1.safetensors"},
    "clean": {},
}


class FakeLink:
    """A phone that gives prepared texts for `am instrument`, and notes the commands."""

    folder = "/data/local/tmp"

    def __init__(self):
        self.texts = {name: answered(answer) for name, answer in ANSWERS.items()}
        self.files = {}
        self.commands = []
        self.lost = False

    def run(self, words, *, timeout_s=30.0):
        self.commands.append(list(words))
        if words[:2] == ["am", "instrument"]:
            text = self.texts[words[words.index("order") + 1]]
            if text is None:
                raise DeviceLostError("the device was lost: it did not answer")
            return Answer(0, text, "")
        if self.lost:
            raise DeviceLostError("the device was lost: it cut the connection")
        if words[0] == "sha256sum":
            lines = [f"{sha256_of(self.files[p])}  {p}\n" for p in words[1:] if p in self.files]
            return Answer(0, "".join(lines), "")
        return Answer(0, "", "")

    def pull(self, source, target):
        shutil.copy(self.files[source], target)

    def orders(self):
        """Return the extras of each order."""
        found = []
        for words in self.commands:
            if words[:2] == ["am", "instrument"]:
                at = [i for i, word in enumerate(words) if word == "-e"]
                found.append({words[i + 1]: words[i + 2] for i in at})
        return found


def answered(answer):
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return f"INSTRUMENTATION_RESULT: answer={text}\nINSTRUMENTATION_CODE: -1\n"


@pytest.fixture
def link():
    return FakeLink()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("orders") / "network")


@pytest.fixture
def place(link, artifact):
    root = f"/data/local/tmp/{SESSION}"
    job = Job(artifact, "forward")
    return Place(link, job, f"{root}/abc", f"{root}/abc-forward", f"{root}/tools", 2, None)


@pytest.fixture
def worker(link, place):
    return AppRunner(link).start(place)


def test_the_first_run_is_not_warmed_up_and_later_ones_are(link, worker):
    assert worker.load().init_ns == 2
    assert worker.run(2) == [TimedRun(5, 0), TimedRun(6, 1)]
    assert worker.run(2) == [TimedRun(5, 0), TimedRun(6, 1)]
    assert [order.get("warmup") for order in link.orders()] == [None, None, "0", "10"]
    assert link.orders()[-1] == {
        "order": "run",
        "artifact": f"/data/local/tmp/{SESSION}/abc",
        "program": "forward",
        "threads": "2",
        "runs": "2",
        "warmup": "10",
    }
    assert worker.versions == {"onnx": "1.23.0"}
    assert worker.memory() is None


def test_the_app_may_read_the_artifact_and_the_folder_above_it(link, worker):
    root = f"/data/local/tmp/{SESSION}"
    assert ["chmod", "755", root] in link.commands
    assert ["chmod", "-R", "a+rX", f"{root}/abc"] in link.commands


def test_outputs_are_pulled_and_removed_by_the_app(link, worker, artifact, tmp_path):
    _, expected = artifact.reference("forward")
    local = tmp_path / "outputs"
    safetensors.numpy.save_file(expected, local)
    link.files[f"{FOLDER}/1.safetensors"] = local
    assert (worker.outputs()["rgb"] == expected["rgb"]).all()
    worker.close()
    worker.close()
    assert link.orders()[-1] == {"order": "clean", "output": SESSION}
    assert [words[1] for words in link.commands if words[0] == "am"].count("force-stop") == 1


@pytest.mark.parametrize(
    "path",
    [
        "/data/local/tmp/x.safetensors",
        f"{FOLDER.replace('emulated', '..')}/x.safetensors",
        f"{FOLDER.replace(SESSION, 'other')}/x.safetensors",
        f"{FOLDER}/.hidden",
        f"{FOLDER}/$(reboot)",
        f"{FOLDER}/a b",
        f"relative{FOLDER}/x",
    ],
)
def test_outputs_outside_the_folder_of_the_app_are_refused(link, worker, path):
    link.texts["outputs"] = answered({"outputs": path})
    with pytest.raises(RuntimeFailure, match="which is not in its folder"):
        worker.outputs()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ended without a code and without an answer running"),
        ("INSTRUMENTATION_CODE: -1\n", "ended with code -1 and without an answer running"),
        ("INSTRUMENTATION_ABORTED: System has crashed.\n", "ended without a code"),
        (answered({"runs": [[1, 0]]}), "returned 1 times instead of 2 running"),
        (answered("no JSON"), "gave an unexpected answer running"),
        (answered({"runs": [[-1, 0], [1, 0]]}), "gave an unexpected answer running"),
        (
            "INSTRUMENTATION_RESULT: error=The runtime failed.\nINSTRUMENTATION_CODE: 1\n",
            "failed running .*network:forward: The runtime failed$",
        ),
        (
            "INSTRUMENTATION_RESULT: longMsg=java.lang.Error: bad\n\tat A.b(A.java:1)\n"
            "INSTRUMENTATION_RESULT: shortMsg=java.lang.Error\nINSTRUMENTATION_CODE: 0\n",
            "crashed running .*network:forward: java.lang.Error: bad$",
        ),
        (
            "INSTRUMENTATION_RESULT: shortMsg=Process crashed.\nINSTRUMENTATION_CODE: 0\n",
            "crashed running .*network:forward: Process crashed$",
        ),
    ],
)
def test_a_failed_order_is_one_sentence(link, worker, text, message):
    link.texts["run"] = text
    with pytest.raises(RuntimeFailure, match=message) as caught:
        worker.run(2)
    assert "\n" not in str(caught.value)


def test_an_order_that_does_not_end_stops_the_app(link, worker):
    link.texts["run"] = None
    with pytest.raises(RuntimeFailure, match=r"did not end running .* in 600 s"):
        worker.run(1)
    assert link.commands[-1] == ["am", "force-stop", "org.edgepipeline.app"]


def test_a_lost_phone_is_not_a_failure_of_the_app(link, worker):
    link.texts["run"], link.lost = None, True
    with pytest.raises(DeviceLostError, match="cut the connection"):
        worker.run(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (answered(DESCRIBED | {"protocol": 2}), "app is version 0.1; install the app of this"),
        (answered(DESCRIBED | {"backends": {"litert": "2"}}), "app runs litert"),
        (answered(DESCRIBED | {"backends": {}}), "app runs nothing"),
        (
            "INSTRUMENTATION_STATUS: Error=Unable to find instrumentation info for: C{}\n"
            "INSTRUMENTATION_STATUS_CODE: -1\n",
            "app has no benchmark; install the app of this version",
        ),
    ],
)
def test_an_app_that_cannot_run_the_artifact_is_named(link, artifact, text, message):
    link.texts["describe"] = text
    with pytest.raises(InputError, match=message):
        choose_runner([AppRunner(link)], "adb:1", artifact, None)


def test_other_sizes_and_chosen_cores_are_refused_without_starting_the_app(link, artifact):
    runner = AppRunner(link)
    with pytest.raises(InputError, match="at the size of its reference input only"):
        choose_runner([runner], "adb:1", artifact, (64, 64))
    with pytest.raises(InputError, match="app cannot be pinned to processors; omit --cores"):
        choose_runner([runner], "adb:1", artifact, None, "big")
    assert link.commands == []


@given(st.text())
def test_any_text_of_am_is_read(text):
    code, results = results_of(text)
    assert code is None or isinstance(code, int)
    assert all(isinstance(value, str) for value in results.values())


def test_values_of_several_lines_are_read():
    text = (
        "INSTRUMENTATION_STATUS: a=1\nINSTRUMENTATION_STATUS_CODE: 0\n"
        "INSTRUMENTATION_RESULT: stream=\nfirst\nsecond\nINSTRUMENTATION_RESULT: b=c=d\n"
        "INSTRUMENTATION_CODE: -1\n"
    )
    assert results_of(text) == (-1, {"stream": "\nfirst\nsecond", "b": "c=d"})
