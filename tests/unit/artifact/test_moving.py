"""Map sizes in a program's files: written where they lie, and refused where they do not."""

import numpy as np
import pytest

from edge_pipeline.artifact.graph import Call, Graph, graph_file_bytes, read_graph
from edge_pipeline.artifact.manifest import Constant
from edge_pipeline.artifact.moving import moved
from edge_pipeline.artifact.size_places import SizeInCall, SizeInFile, Sizes
from edge_pipeline.errors import ArtifactError
from tests.fakes.artifacts import make_files

GRAPH = "forward.graph.safetensors"
WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
OLD, NEW = (9, 7, 1), (1234567, 7, 12)


def program(**changes):
    """A program with one resize to [9, 1], columns 0 and 2, and the files that hold it."""
    call = Call(
        name="up",
        target="aten.upsample_bilinear2d.vec",
        args=({"node": "x"}, [OLD[0], OLD[2]], False, None),
    )
    graph = Graph(inputs=("x",), weights=("w",), calls=(call,), outputs=("up",))
    numbers = np.array([1, 4, OLD[0], OLD[2]], "<i8").tobytes()
    files = {"forward.onnx": b"head" + numbers, GRAPH: graph_file_bytes(graph, {"w": WEIGHT})}
    places = {
        "numbers": (SizeInFile(offset=20, column=0), SizeInFile(offset=28, column=2)),
        "calls": (
            SizeInCall(call="up", item=0, column=0),
            SizeInCall(call="up", item=1, column=2),
        ),
    }
    offset = files[GRAPH].index(WEIGHT.tobytes())
    constant = Constant(
        name="w", shape=(2, 3), axes=(0, 1), dtype="float32", file=GRAPH, offsets=(offset,)
    )
    (spec,) = make_files()[0].programs
    update = {"graph": GRAPH, "constants": (constant,), "sizes": Sizes(**(places | changes))}
    return files, spec.model_copy(update=update)


def test_sizes_are_replaced_and_the_weights_in_the_graph_move_with_its_header():
    files, spec = program()
    after, changed = moved(files, spec, OLD, NEW)
    assert after["forward.onnx"] == b"head" + np.array([1, 4, NEW[0], NEW[2]], "<i8").tobytes()
    graph, weights = read_graph(GRAPH, after[GRAPH])
    assert list(graph.calls[0].args[1]) == [NEW[0], NEW[2]]
    np.testing.assert_array_equal(weights["w"], WEIGHT)
    (offset,) = changed.constants[0].offsets
    assert after[GRAPH].index(WEIGHT.tobytes()) == offset
    back, original = moved(after, changed, NEW, OLD)
    assert (back, original) == (files, spec)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"numbers": (SizeInFile(offset=12, column=0),)}, "map size at byte 12 of forward.onnx"),
        ({"numbers": (SizeInFile(offset=10**6, column=0),)}, "at byte 1000000 of forward.onnx"),
        ({"numbers": (SizeInFile(offset=20, column=2),)}, "at byte 20"),
        ({"numbers": (SizeInFile(offset=20, column=3),)}, "a column that the table"),
        ({"calls": (SizeInCall(call="up", item=2, column=0),)}, "a map size of up"),
        ({"calls": (SizeInCall(call="up", item=0, column=1),)}, "a map size of up"),
        ({"calls": (SizeInCall(call="down", item=0, column=0),)}, "of down, which .* lacks"),
    ],
)
def test_a_manifest_that_tells_other_places_is_refused(changes, complaint):
    files, spec = program(**changes)
    with pytest.raises(ArtifactError, match=complaint):
        moved(files, spec, OLD, NEW)


def test_a_size_of_zero_is_refused():
    files, spec = program()
    with pytest.raises(ArtifactError, match="table of sizes"):
        moved(files, spec, OLD, (0, 7, 12))
