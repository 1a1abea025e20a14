"""The schema: what it takes, what it refuses, and that it survives being written."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_pipeline.artifact.manifest import Manifest, ProgramSpec
from edge_pipeline.artifact.schema import check_file_name
from edge_pipeline.artifact.tensors import TensorSpec
from tests.fakes.artifacts import make_files

FORMS = ("dynamic", "folded", "split", "refolded")


def _manifest(filters: Any = "folded") -> dict[str, Any]:
    manifest, _ = make_files(filters=filters)
    return manifest.model_dump(mode="json")


def _tensor(*shape: int | str) -> TensorSpec:
    return TensorSpec(name="x", shape=shape, layout="NCHW"[: len(shape)], meaning="a test's")


@pytest.mark.parametrize("filters", FORMS)
def test_round_trip(filters: Any) -> None:
    manifest, _ = make_files(filters=filters)
    assert Manifest.model_validate_json(manifest.model_dump_json(), strict=True) == manifest


def test_schema_can_be_exported_and_forbids_unknown_keys() -> None:
    schema = json.loads(json.dumps(Manifest.model_json_schema()))
    assert schema["additionalProperties"] is False
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values())


def test_frozen() -> None:
    manifest, _ = make_files()
    with pytest.raises(ValidationError, match="frozen"):
        manifest.backend = "other"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("surprise",), 1, "Extra inputs"),
        (("programs", 0, "surprise"), 1, "Extra inputs"),
        (("format",), "other", "edge_pipeline.artifact"),
        (("schema_version",), 2, "Input should be 1"),
        (("precision",), "int4", "Input should be 'fp32'"),
        (("filters",), "split", "requires the programs"),
        (("calibration",), None, "requires a calibration"),
        (("created",), datetime(2025, 1, 1), "timezone"),
        (("programs", 0, "flops"), 1, "is not 2 x macs"),
        (("programs", 0, "inputs"), [], "expected at least one tensor and unique names"),
        (("programs", 0, "file"), "../m.onnx", "plain path"),
        (
            ("programs", 0, "inputs", 0, "shape"),
            [1, 4, 8],
            "layout NCHW must have one letter per dimension",
        ),
        (("programs", 0, "inputs", 0, "shape"), [1, 4, 0, 8], "must be at least 1"),
        (("programs", 0, "inputs", 0, "shape"), [1, 4, "8h", 8], "must be a size"),
        (("programs", 0, "inputs", 0, "range"), [1, 0], "is empty"),
        (("programs", 0, "inputs", 0, "range"), [0, float("nan")], "finite number"),
        (("programs", 0, "delegation", "outside"), {"Conv": -1}, "greater than or equal to 0"),
        (("card", "metrics"), {"psnr_db": float("inf")}, "finite number"),
        (("card", "output_space"), "yuv", "camera_linear"),
        (("tile", "stride"), 0, "greater than 0"),
        (("tile", "margin"), 17, "margin is 17; it must be at most the halo, 16"),
        (("source", "checkpoint_sha256"), "abc", "pattern"),
        (("files",), {"../out": "0" * 64}, "plain path"),
        (("files",), {"manifest.json": "0" * 64}, "reserved for the manifest"),
        (("files",), {"a": "0" * 63}, "pattern"),
    ],
)
def test_refuses(path: tuple[str | int, ...], value: object, message: str) -> None:
    data = _manifest()
    place: Any = data
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(ValidationError, match=message):
        Manifest.model_validate(data)


def test_split_programs_must_fit_each_other() -> None:
    data = _manifest("split")
    data["programs"][1]["inputs"][1]["shape"] = [1, 12, 4, 5, 5]
    with pytest.raises(ValidationError, match="must be the filter inputs of apply_filters"):
        Manifest.model_validate(data)


@pytest.mark.parametrize("change", ["shape", "name", "none"])
def test_a_refolded_program_has_a_place_for_each_predicted_filter(change: str) -> None:
    data = _manifest("refolded")
    (output,), path = data["programs"][0]["outputs"], data["programs"][1]
    if change == "shape":
        output["shape"] = [1, 12, 4, 5, 5]
    elif change == "name":
        output["name"] = "other"
    else:
        path["constants"] = []
    with pytest.raises(ValidationError, match="must be the constants of forward"):
        Manifest.model_validate(data)


def test_a_refolded_program_says_what_its_file_was_folded_with() -> None:
    data = _manifest("refolded") | {"calibration": None}
    with pytest.raises(ValidationError, match="filters=refolded requires a calibration"):
        Manifest.model_validate(data)


def _several() -> dict[str, Any]:
    data = _manifest("dynamic")
    (program,) = data["programs"]
    data["programs"] = [
        program | {"name": f"forward_{number}", "fixed": {"phi": phi}}
        for number, phi in ((1, 0.2), (2, 0.5))
    ]
    return data | {"fixed": {"phi": 0.5}}


def test_a_manifest_has_programs_for_several_values() -> None:
    assert Manifest.model_validate(_several()).has_several
    assert not Manifest.model_validate(_manifest("dynamic")).has_several
    assert not Manifest.model_validate(_manifest("split")).has_several


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("programs", 1, "name"), "forward_3", "must be forward_1, ..."),
        (("programs", 1, "name"), "forward", "must be forward_1, ..."),
        (("programs", 1, "file"), "other.onnx", "must have one file"),
        (("programs", 1, "fixed"), {"phi": 0.6}, "must be those of the last program"),
        (("programs", 0, "fixed"), {}, "must have the same fixed inputs"),
        (("fixed",), {}, "must be those of the last program"),
    ],
)
def test_programs_for_several_values_fit_each_other(
    path: tuple[str | int, ...], value: object, message: str
) -> None:
    data = _several()
    place: Any = data
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(ValidationError, match=message):
        Manifest.model_validate(data)


def test_tensors_of_one_side_have_different_names() -> None:
    program = _manifest("split")["programs"][1]
    program["inputs"][1]["name"] = "packed"
    with pytest.raises(ValidationError, match="unique names"):
        ProgramSpec.model_validate(program)


class TestFileNames:
    @pytest.mark.parametrize("name", ["a", "model.onnx", "model.onnx.data", "deep/er/a-1_+.pte"])
    def test_plain(self, name: str) -> None:
        assert check_file_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            *("", "/etc/passwd", "../x", "a/../../x", "a/..", ".", "./a", "a//b", "a/", "a\\b"),
            *("C:x", "a\0b", "a\n", ".hidden", "-rf", "ä", "manifest.json", "manifest.sha256"),
        ],
    )
    def test_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="the file name"):
            check_file_name(name)

    @given(st.text(alphabet="ab./\\\n\0 ~:", max_size=12))
    def test_what_passes_stays_inside(self, name: str) -> None:
        try:
            check_file_name(name)
        except ValueError:
            return
        assert not name.startswith("/")
        assert not {"", ".", ".."} & set(name.split("/"))


class TestShapes:
    def test_fixed(self) -> None:
        assert _tensor(1, 4, 32, 48).fits((1, 4, 32, 48), {})
        assert not _tensor(1, 4, 32, 48).fits((1, 4, 48, 32), {})
        assert not _tensor(1, 4, 32, 48).fits((4, 32, 48), {})

    @given(st.integers(1, 50), st.integers(1, 50))
    def test_multiples(self, height: int, width: int) -> None:
        sizes: dict[str, int] = {}
        assert _tensor(1, 4, "16*h", "w").fits((1, 4, 16 * height, width), sizes)
        assert sizes == {"h": height, "w": width}
        assert _tensor(1, 3, "32*h", "2*w").fits((1, 3, 32 * height, 2 * width), sizes)
        assert not _tensor(1, 3, "32*h", "2*w").fits((1, 3, 32 * height + 32, 2 * width), sizes)

    @given(st.integers(1, 1000).filter(lambda size: size % 16))
    def test_what_is_no_multiple(self, height: int) -> None:
        assert not _tensor(1, 4, "16*h", "16*w").fits((1, 4, height, 16), {})

    def test_empty(self) -> None:
        assert not _tensor(1, 4, "16*h", "16*w").fits((1, 4, 0, 16), {})

    def test_text(self) -> None:
        assert _tensor(1, 4, "16*h", 48).shape_text() == "1x4x16*hx48"
