"""Planned memory of ExecuTorch programs: made-up files, damaged files, and real ones."""

import contextlib
from pathlib import Path

import flatbuffers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.errors import ArtifactError
from edge_pipeline.harness.arena import planned_arena_bytes
from tests.fakes.artifacts import make_artifact, make_files


def _program(plans):
    """A program file with the sizes of the buffers of each method, and no other field."""
    builder = flatbuffers.Builder(256)
    tables = []
    for name, sizes in plans.items():
        text = builder.CreateString(name)
        builder.StartVector(8, len(sizes), 8)
        for size in reversed(sizes):
            builder.PrependInt64(size)
        vector = builder.EndVector()
        builder.StartObject(9)
        builder.PrependUOffsetTRelativeSlot(0, text, 0)
        builder.PrependUOffsetTRelativeSlot(8, vector, 0)
        tables.append(builder.EndObject())
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    vector = builder.EndVector()
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(1, vector, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"ET12")
    return bytes(builder.Output())


def _artifact(folder: Path, data: bytes):
    manifest, files = make_files()
    manifest = manifest.model_copy(update={"backend": "executorch"})
    files[manifest.programs[0].file] = data
    return write_artifact(folder, manifest, files, force=True)


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 2**40), min_size=1, max_size=4),
    other=st.lists(st.integers(0, 2**40), max_size=3),
)
def test_the_buffers_of_the_program_are_summed(tmp_path_factory, sizes, other):
    folder = tmp_path_factory.mktemp("a") / "a"
    data = _program({"other": other, "forward": [7, *sizes]})
    assert planned_arena_bytes(_artifact(folder, data), "forward") == sum(sizes)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff" * 64, _program({"forward": [0, 5]})[:40], _program({"other": [0, 5]}),
        _program({}),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_sentence(tmp_path, data):
    with pytest.raises(ArtifactError, match="is not an ExecuTorch program with a method forward"):
        planned_arena_bytes(_artifact(tmp_path / "a", data), "forward")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_changed_bytes_never_end_in_another_error(tmp_path_factory, data):
    content = bytearray(_program({"forward": [0, 96]}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    artifact = _artifact(tmp_path_factory.mktemp("a") / "a", bytes(content))
    with contextlib.suppress(ArtifactError):
        planned_arena_bytes(artifact, "forward")


def test_other_backends_have_no_plan(tmp_path):
    assert planned_arena_bytes(make_artifact(tmp_path / "a"), "forward") is None


def test_a_real_program_has_the_sizes_that_executorch_reads(tmp_path):
    pytest.importorskip("executorch.exir", reason="the executorch extra is not installed")
    from executorch.exir._serialize._program import deserialize_pte_binary

    from tests.fakes.executorch import make_executorch_artifact

    artifact = make_executorch_artifact(tmp_path / "a")
    path = artifact.path(artifact.program("forward").file)
    read = deserialize_pte_binary(path.read_bytes())
    (plan,) = getattr(read, "program", read).execution_plan
    assert planned_arena_bytes(artifact, "forward") == sum(plan.non_const_buffer_sizes)
