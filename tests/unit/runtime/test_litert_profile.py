"""LiteRT's profiler: the table that it prints, real runs, and versions without it."""

import types

import pytest

pytest.importorskip("litert_torch", reason="the litert extra is not installed")

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import InputError, RuntimeFailure
from edge_pipeline.runtime import litert, litert_profile
from edge_pipeline.runtime.base import ProfiledOperator, profile_program
from edge_pipeline.runtime.litert_profile import operators_in

SUMMARY = """\
======== Run Order ========
   [node type]   [start]   [first]  [avg ms]      [%]   [cdf%]  [mem KB] [times called]  [Name]
    Delegate/Convolution (NHWC, F32) IGEMM  0.000  4.520  9.624  2.222%  2.676%  0.000  2  [Xnn]:10
    Delegate/Add (ND)  0.000  0.001  0.000  0.000%  2.676%  0.000  1  [Delegate]:11
    GATHER  0.000  0.001  0.250  0.000%  2.676%  -4.000  1  [a name:with colons]:3

======== Top by Computation Time ========
    GATHER  0.000  0.001  0.250  0.000%  2.676%  0.000  1  [a name:with colons]:3
"""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    from tests.fakes.litert import make_litert_artifact

    return make_litert_artifact(tmp_path_factory.mktemp("fake") / "artifact")


def test_only_the_table_of_the_order_is_read() -> None:
    assert operators_in(SUMMARY) == [
        ProfiledOperator("operator 10", "Convolution (NHWC, F32) IGEMM", 19_248_000),
        ProfiledOperator("operator 11", "Add (ND)", 0),
        ProfiledOperator("[a name:with colons]:3", "GATHER", 250_000),
    ]
    assert operators_in("") == []


def test_runs_are_summed(artifact: Artifact, capfd: pytest.CaptureFixture[str]) -> None:
    inputs, _ = artifact.reference("forward")
    once = profile_program(artifact, "forward", inputs, threads=1, runs=1)
    often = profile_program(artifact, "forward", inputs, threads=2, runs=60)
    assert [one[:2] for one in once] == [one[:2] for one in often]
    assert any("Fully Connected" in one.kind or "Convolution" in one.kind for one in once)
    assert sum(one.elapsed_ns for one in often) > 0
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_another_size_is_refused(artifact: Artifact) -> None:
    spec = artifact.program("forward")
    free = tuple(
        one.model_copy(update={"shape": (1, one.shape[1], "h", "w")}) for one in spec.inputs
    )
    inputs, _ = artifact.reference("forward")
    small = {name: value[:, :, ::2, ::2].copy() for name, value in inputs.items()}
    spec = spec.model_copy(update={"inputs": free})
    with pytest.raises(InputError, match="only at the size at which it was compiled"):
        litert.profile(artifact.path(spec.file), spec, 1, small, 1)


def test_other_names_are_refused(artifact: Artifact) -> None:
    spec = artifact.program("forward")
    renamed = tuple(one.model_copy(update={"name": "other"}) for one in spec.inputs)
    inputs, _ = artifact.reference("forward")
    with pytest.raises(RuntimeFailure, match="the manifest lists other"):
        litert.profile(
            artifact.path(spec.file),
            spec.model_copy(update={"inputs": renamed}),
            1,
            {"other": next(iter(inputs.values()))},
            1,
        )


def test_a_package_without_the_library_or_its_profiler_has_none(
    artifact: Artifact, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = artifact.program("forward")
    inputs, _ = artifact.reference("forward")
    old = types.ModuleType("ai_edge_litert")
    old.__file__ = f"{tmp_path}/interpreter.py"
    path = artifact.path(spec.file)
    with pytest.raises(InputError, match="has no profiler"):
        litert_profile.profile_file(old, path, spec, 1, inputs, 1)
    bare = types.SimpleNamespace(CDLL=lambda _: types.SimpleNamespace())
    monkeypatch.setattr(litert_profile, "ctypes", vars_of(litert_profile.ctypes, bare))
    with pytest.raises(InputError, match="has no profiler"):
        litert_profile.profile_file(old, path, spec, 1, inputs, 1)


def vars_of(module: types.ModuleType, changed: types.SimpleNamespace) -> types.SimpleNamespace:
    """Return the names of a module, of which some are changed."""
    return types.SimpleNamespace(**(vars(module) | vars(changed)))


def test_runs_with_different_operators_are_not_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    one = [ProfiledOperator("a", "CONV_2D", 1)]
    with pytest.raises(RuntimeFailure, match="cannot be read"):
        litert_profile._summed(iter([one, [*one, *one]]))
    with pytest.raises(RuntimeFailure, match="cannot be read"):
        litert_profile._summed(iter([[]]))
    assert litert_profile._summed(iter([one, one])) == [ProfiledOperator("a", "CONV_2D", 2)]
