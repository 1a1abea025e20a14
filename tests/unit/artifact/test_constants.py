"""Weights are found in whatever order they lie, and written nowhere else."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.artifact.constants import Twin, check_values, locate, patch
from edge_pipeline.artifact.manifest import Constant
from edge_pipeline.errors import ArtifactError, InputError


def drawn(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)


@given(shapes, st.data(), st.sampled_from(["<f4", "<f2"]), st.integers(0, 9), st.integers(1, 3))
def test_any_order_of_axes_is_found_and_written(shape, data, code, before, copies):
    axes = data.draw(st.permutations(range(len(shape))))
    marker, real = drawn(shape, 1), drawn(shape, 2)
    if marker.astype(code).nbytes < 8:
        return
    noise = np.random.default_rng(3).bytes(97)

    def file_of(value):
        content = value.transpose(axes).astype(code).tobytes()
        return noise[:before] + b"".join(content + noise for _ in range(copies))

    files = {"a.bin": file_of(marker), "other": noise}
    found = locate(files, {"w": marker})
    assert found.problem is None
    assert sum(len(constant.offsets) for constant in found.constants) == copies
    assert patch(files, found.constants, {"w": real}) == {"a.bin": file_of(real)}


def test_one_that_was_changed_is_a_problem():
    marker = drawn((3, 4), 1)
    found = locate({"f": (3 * marker).tobytes()}, {"layer.weight": marker})
    assert found.constants == ()
    assert "layer.weight was not found unchanged in the program's files" in found.problem


@pytest.mark.parametrize("scale", [1.0, 0.125, 4.0])
@pytest.mark.parametrize("rounded", [False, True])
def test_a_factor_of_two_and_rounding_to_half_are_found_and_written(scale, rounded):
    marker, real = drawn((2, 3, 4), 1), drawn((2, 3, 4), 2)

    def file_of(value):
        content = np.float32(scale) * value
        if rounded:
            content = content.astype("<f2").astype("<f4")
        return b"head" + content.transpose(2, 0, 1).tobytes()

    files = {"p": file_of(marker), "g": marker.tobytes()}
    found = locate(files, {"w": marker}, required=["g"])
    assert found.problem is None
    first, second = found.constants
    if first.file == "g":
        first, second = second, first
    assert (first.scale, first.rounded, first.axes) == (scale, rounded, (2, 0, 1))
    assert (second.scale, second.rounded) == (1.0, False)
    written = patch(files, found.constants, {"w": real})
    assert written == {"p": file_of(real), "g": real.tobytes()}


def test_a_required_file_must_hold_every_mark():
    first, second = drawn((3, 4), 1), drawn((5,), 2)
    markers = {"w": first, "b": second}
    whole = first.tobytes() + second.tobytes()
    files = {"p": whole, "g": first.tobytes()}
    assert "b was not found unchanged in g" in (
        locate(files, markers, required=["g"]).problem or ""
    )
    files["g"] = whole
    found = locate(files, markers, required=["g"])
    assert [(c.name, c.file) for c in found.constants] == list(itertools.product("wb", "pg"))
    # The network's graph alone is no program.
    assert locate({"g": whole}, markers, required=["g"]).problem is not None


def test_two_weights_at_one_place_are_a_problem():
    marker = drawn((8,), 1)
    found = locate({"f": marker.tobytes()}, {"a": marker, "b": marker})
    assert found.problem == "a and b were found at the same place"


def test_what_is_too_short_to_tell_apart_is_not_looked_for():
    marker = drawn((1,), 1)
    assert locate({"f": marker.astype("<f2").tobytes()}, {"b": marker}).problem is not None
    assert locate({"f": marker.tobytes()}, {"b": marker}).problem is None


def test_a_twin_tells_where_two_bytes_lie():
    """Any file holds any two bytes; only those of the weight differ between the two files."""
    marker, other = np.float32([0.3]), np.float32([-0.2])
    rest = np.tile(marker, 50).astype("<f2").tobytes() + np.random.default_rng(0).bytes(90_000)
    graphs = rest[:9], rest[9:]

    def files_of(value):
        return {
            "p": rest + value.astype("<f2").tobytes() + rest,
            "g": graphs[0] + value.tobytes() + graphs[1],
        }

    files, twin = files_of(marker), Twin(files_of(other), {"b": other})
    assert files["p"].count(marker.astype("<f2").tobytes()) > 100
    found = locate(files, {"b": marker}, required=["g"], twin=twin)
    assert [(c.file, c.dtype, c.offsets) for c in found.constants] == [
        ("p", "float16", (len(rest),)),
        ("g", "float32", (9,)),
    ]
    assert patch(files, found.constants, {"b": np.float32([5])}) == files_of(np.float32([5]))
    assert locate(files, {"b": marker}, required=["g"]).problem is not None


def constant(**changes):
    fields = {"shape": (2, 3), "axes": (0, 1), "dtype": "float32", "file": "f", "offsets": (4,)}
    return Constant(name="w", **(fields | changes))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, "the weight w is missing"),
        (
            {"w": drawn((2, 3), 1), "v": drawn((1,), 1)},
            "v is not a weight of the artifact; it has w",
        ),
        ({"w": drawn((3, 2), 1)}, "expected float32 2x3, got float32 3x2"),
        ({"w": drawn((2, 3), 1).astype(np.float64)}, "w: expected float32 2x3, got float64"),
        ({"w": np.full((2, 3), np.inf, np.float32)}, "not finite"),
        ({"w": np.full((2, 3), 1e5, np.float32)}, "limit of half precision is 65504"),
    ],
)
def test_values_that_do_not_fit(values, complaint):
    with pytest.raises(InputError, match=complaint):
        check_values([constant(dtype="float16")], values)


def test_a_file_that_is_too_short():
    with pytest.raises(ArtifactError, match="f has 20 bytes, too few for w at byte 4"):
        patch({"f": bytes(20)}, [constant()], {"w": drawn((2, 3), 1)})
