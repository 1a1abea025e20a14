"""One artifact with a program for each of several phi, through the command line."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch

from edge_pipeline import Artifact, open_session
from edge_pipeline.cli.main import main
from edge_pipeline.segmentation.opening import session_at
from tests.fakes import own_networks

NEEDS = {"executorch": "executorch", "litert": "litert_torch"}
TINY = ["-s", "encoder=4-6-8", "-s", "decoder=5-3", "-s", "hidden2=8", "--input", "20x33"]
# The input of each network of `own_networks`.
PICTURE = {"amortised": "x", "wide": "image"}
BOUND = 1e-5


@pytest.fixture(params=NEEDS)
def backend(request):
    pytest.importorskip(NEEDS[request.param], reason=f"compiling for {request.param} needs it")
    return request.param


def compiled(folder, backend, phi, *words, source="amortised"):
    command = ["compile", source, *words]
    if source in PICTURE:
        command = ["compile", f"tests.fakes.own_networks:{source}", *words]
        command += [] if "--input" in words else ["--input", f"{PICTURE[source]}=1x3x8x12"]
    assert main([*command, "--backend", backend, "--phi", phi, "-o", str(folder)]) == 0
    return Artifact.open(folder)


def assert_near(found, expected, bound=BOUND):
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound * np.abs(expected).max())


def assert_is_the_network(artifact, program, phi, network):
    inputs, _ = artifact.reference(program)
    with torch.no_grad():
        expected = network(*map(torch.from_numpy, inputs.values()), phi).numpy()
    with open_session(artifact, program, threads=1) as session:
        (found,) = session.run(inputs).values()
    assert_near(found, expected)


def differing(one, other):
    files = one.manifest.files
    assert files.keys() == other.manifest.files.keys()
    return {name for name, digest in files.items() if other.manifest.files[name] != digest}


def test_each_program_is_the_network_and_moves_in_its_own_range(tmp_path, backend, capsys):
    several = compiled(tmp_path / "a", backend, "0.6,0.3", "--respecialisable")
    network = own_networks.amortised()
    programs = several.manifest.programs
    assert [(p.name, p.fixed) for p in programs] == [
        ("forward_1", {"phi": 0.3}),
        ("forward_2", {"phi": 0.6}),
    ]
    assert len({p.file for p in programs}) == 1
    assert several.manifest.fixed == {"phi": 0.6}
    assert programs[0].macs < programs[1].macs
    for program in programs:
        assert_is_the_network(several, program.name, program.fixed["phi"], network)
    capsys.readouterr()

    move = ["respecialise", str(tmp_path / "a"), "--phi"]
    assert main([*move, "0.31", "-o", str(tmp_path / "b")]) == 0
    assert "forward_1: phi 0.3 -> 0.31: replaced 4 weights" in capsys.readouterr().out
    moved = Artifact.open(tmp_path / "b")
    assert_is_the_network(moved, "forward_1", 0.31, network)
    assert_is_the_network(moved, "forward_2", 0.6, network)
    assert [p.fixed["phi"] for p in moved.manifest.programs] == [0.31, 0.6]
    assert moved.manifest.fixed == {"phi": 0.6}
    assert not any(name.startswith("forward_2") for name in differing(several, moved))
    # The last program is that of the manifest's fixed value.
    assert main([*move, "0.61", "-o", str(tmp_path / "c")]) == 0
    assert Artifact.open(tmp_path / "c").manifest.fixed == {"phi": 0.61}

    assert main([*move, "0.45", "-o", str(tmp_path / "d")]) == 2
    error = capsys.readouterr().err
    assert "phi=0.45 is in the range of no program" in error
    assert "forward_1 serves 0.25 to 0." in error
    assert "forward_2 serves 0.5" in error
    assert not (tmp_path / "d").exists()
    filters = ["respecialise", str(tmp_path / "a"), "-o", str(tmp_path / "d"), "--filters"]
    assert main([*filters, str(tmp_path / "a" / "forward_1.curve.safetensors")]) == 2
    assert "programs for several values" in capsys.readouterr().err

    assert main(["verify", str(tmp_path / "a"), "--random", "1"]) == 0
    inputs, _ = several.reference("forward_1")
    for phi in (0.3, 0.31, 0.6, None):
        with torch.no_grad():
            expected = network(torch.from_numpy(inputs["x"]), phi or 0.6).numpy()
        with session_at(several, phi, 1) as session:
            (found,) = session.run(inputs).values()
        assert_near(found, expected)


@pytest.mark.slow
def test_a_moved_program_has_the_bytes_of_compiling_for_its_phi(tmp_path, backend):
    # Both values have the range from 18 / 60 to 19 / 60, on steps of 1e-4.
    words = ["--respecialisable", "--input", "x=1x3x40x60"]
    compiled(tmp_path / "a", backend, "0.31,0.6", *words)
    other = compiled(tmp_path / "b", backend, "0.312,0.6", *words)
    move = ["respecialise", str(tmp_path / "a"), "--phi", "0.312", "-o", str(tmp_path / "c")]
    assert main(move) == 0
    moved = Artifact.open(tmp_path / "c")
    assert differing(moved, other) <= {"forward_1.reference.safetensors"}
    (found,), (expected,) = (a.reference("forward_1")[1].values() for a in (moved, other))
    assert_near(found, expected)


@pytest.mark.parametrize(
    "backend", ["executorch", pytest.param("litert", marks=pytest.mark.slow)], indirect=True
)
def test_equal_weights_are_in_the_file_once(tmp_path, backend):
    several = compiled(tmp_path / "b", backend, "0.3,0.6", source="wide")
    assert [p.name for p in several.manifest.programs] == ["forward_1", "forward_2"]
    network = own_networks.wide()
    for program in several.manifest.programs:
        assert_is_the_network(several, program.name, program.fixed["phi"], network)
    weight = network.first[1].weight.detach().numpy()
    held = b"".join(
        several.path(name).read_bytes()
        for name in (several.manifest.programs[0].file, *several.manifest.programs[0].extra)
    )
    first = weight.transpose(0, 2, 3, 1)[0].tobytes()  # [h, w, in] of the first output
    assert held.count(first) == 1


@pytest.mark.slow
def test_int8(tmp_path, backend):
    several = compiled(tmp_path / "a", backend, "0.3,0.6", "--precision", "int8", source="wide")
    assert several.manifest.checked == "verified"
    assert main(["verify", str(tmp_path / "a"), "--random", "1"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_phi_unet(tmp_path, backend, precision):
    words = [*TINY, "-s", "out_channels=1", "--precision", precision, "--respecialisable"]
    several = compiled(tmp_path / "a", backend, "0.2,0.35,0.5", *words, source="phi_unet_pets")
    assert several.manifest.checked == "verified"
    assert main(["verify", str(tmp_path / "a"), "--random", "1"]) == 0
    assert (
        main(["respecialise", str(tmp_path / "a"), "--phi", "0.352", "-o", str(tmp_path / "b")])
        == 0
    )
    assert main(["verify", str(tmp_path / "b"), "--random", "1"]) == 0
    single = compiled(tmp_path / "c", backend, "0.352", *words, source="phi_unet_pets")
    assert [p.fixed for p in single.manifest.programs] == [{}]
    inputs, expected = single.reference("forward")
    with open_session(Artifact.open(tmp_path / "b"), "forward_2", threads=1) as session:
        found = session.run(inputs)
    assert_near(found["logits"], expected["logits"], 1e-5 if precision == "fp32" else 3e-2)


@pytest.mark.parametrize(
    ("backend", "words", "part"),
    [
        ("onnx", ["--phi", "0.2,0.5"], "one onnx artifact serves every phi; give one value"),
        ("coreml", ["--phi", "0.2,0.5"], "a program of coreml has one phi, not 0.2, 0.5"),
        ("litert", ["--phi", "0.5,0.2,0.5"], "has the value 0.5 twice"),
        ("litert", ["--phi", "0.5,"], "is not a number; write one"),
        ("litert", ["--phi", "0.5,nan"], "is not a number; write one"),
        ("litert", ["--phi", "0.2,0.5", "--fix", "phi=0.3"], "phi is fixed twice"),
        ("litert", ["--phi", "0.2,0.5", "--filters", "folded"], "--filters folded cannot be"),
        ("litert", ["--phi", "0.2,1.5"], "1.5"),
        ("executorch", ["--phi", "-1,0.2"], "-1"),
    ],
)
def test_what_cannot_be_compiled_is_refused(tmp_path, capsys, backend, words, part):
    for name in {backend} & NEEDS.keys():
        pytest.importorskip(NEEDS[name], reason=f"compiling for {name} needs it")
    command = ["compile", "phi_unet_pets", *TINY, "--backend", backend, *words]
    assert main([*command, "-o", str(tmp_path / "a")]) == 2
    error = capsys.readouterr().err
    assert part in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "a").exists()
