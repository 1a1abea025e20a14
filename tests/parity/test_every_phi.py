"""One artifact for every phi, beside the network and an artifact that is compiled for the phi."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compiler.compile import compile_module
from edge_pipeline.errors import InputError
from edge_pipeline.models.amortised import Amortised
from edge_pipeline.models.base import fresh_model, options_of
from edge_pipeline.proof.respecialise import respecialise
from edge_pipeline.proof.verify import verify_artifact

SMALL = {"encoder": "4-6-8", "decoder": "5-3", "hidden2": 8}
SIZE = (20, 33)
# The copy's reference is the program's own output, and the time of writing differs.
NOT_EQUAL = {"forward.reference.safetensors"}
BOUND = 1e-5

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def at_phi(shared_artifacts):
    """Respecialisable ONNX artifacts of a phi network at one phi."""

    def get(phi, options=SMALL, size=SIZE, source="phi_unet_pets", **further) -> Artifact:
        return shared_artifacts(
            source=source,
            backend="onnx",
            options=options,
            fixed={"phi": phi},
            size=size,
            respecialisable=True,
            **further,
        )

    return get


def eager(options, phi, picture, source="phi_unet_pets"):
    """The network's output at phi, with the fresh weights that `compile` gives it."""
    model = fresh_model(source, options_of(source, options), seed=0).eval()
    with torch.no_grad():
        return model(torch.from_numpy(picture), phi=phi).numpy()


def assert_is_the_network(copy, options, phi, bound=BOUND, source="phi_unet_pets"):
    inputs, outputs = copy.reference("forward")
    expected = eager(options, phi, inputs["image"], source)
    largest = np.abs(expected).max()
    np.testing.assert_allclose(outputs["logits"], expected, rtol=0, atol=bound * largest)


def assert_same_files(copy, other):
    assert copy.manifest.files.keys() == other.manifest.files.keys()
    differing = {n for n, h in other.manifest.files.items() if copy.manifest.files[n] != h}
    assert differing <= NOT_EQUAL
    skipped = {"notes", "created", "files", "checked", "programs"}
    mine, theirs = (one.manifest.model_dump(exclude=skipped) for one in (copy, other))
    assert mine == theirs
    own, others = (one.manifest.programs[0] for one in (copy, other))
    assert own.model_copy(update={"variation": others.variation}) == others
    np.testing.assert_allclose(
        copy.reference("forward")[1]["logits"],
        other.reference("forward")[1]["logits"],
        rtol=0,
        atol=BOUND * np.abs(other.reference("forward")[1]["logits"]).max(),
    )


def test_a_copy_is_what_compiling_for_that_phi_gives(at_phi, tmp_path):
    first, second = at_phi(0.35), at_phi(0.52)
    copy = respecialise(first, tmp_path / "copy", fixed={"phi": 0.52})
    assert_same_files(copy, second)
    assert copy.manifest.programs[0].macs > 1.1 * first.manifest.programs[0].macs
    back = respecialise(copy, tmp_path / "back", fixed={"phi": 0.35})
    assert_same_files(back, first)
    checked = respecialise(first, tmp_path / "eager", fixed={"phi": 0.2}, reference="eager")
    assert verify_artifact(checked).passed


@given(
    phi=st.one_of(
        st.integers(10, 6000).map(lambda n: n / 10000),
        st.sampled_from([0.001, 0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.6]),
        st.floats(1e-3, 0.6),
    )
)
@same_folder
def test_any_phi_is_what_the_network_computes(at_phi, tmp_path, phi):
    copy = respecialise(at_phi(0.35), tmp_path / "copy", fixed={"phi": phi}, force=True)
    assert copy.manifest.fixed == {"phi": phi}
    assert_is_the_network(copy, SMALL, phi)


@pytest.mark.parametrize("phi", [0.0, 0.0005, 0.61, float("nan"), -1.0])
def test_a_phi_outside_the_range_is_refused(at_phi, tmp_path, phi):
    with pytest.raises(InputError, match=r"must be from 0\.001 to 0\.6, the range that"):
        respecialise(at_phi(0.35), tmp_path / "copy", fixed={"phi": phi})
    assert not (tmp_path / "copy").exists()


def test_the_command_says_what_changed_and_needs_no_torch(at_phi, tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from edge_pipeline.cli.main import main\n"
        f"code = main(['respecialise', {str(at_phi(0.35).folder)!r}, '--phi', '0.5', '-o', "
        f"{str(tmp_path / 'copy')!r}])\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith("phi 0.35 -> 0.5: replaced 22 weights and 6 map sizes; ")
    assert first.endswith("multiply-accumulates")
    assert second.startswith("wrote ")


OTHERS = [
    pytest.param({**SMALL, "phi_max": 1.0}, (7, 12), {}, 2e-5, id="up to phi 1"),
    pytest.param({**SMALL, "align_corners": True}, SIZE, {}, BOUND, id="aligned corners"),
    pytest.param({**SMALL, "out_channels": 3}, (16, 16), {}, BOUND, id="square"),
    pytest.param({**SMALL, "rescaled": "picture"}, SIZE, {}, BOUND, id="rescaled picture"),
    pytest.param(
        {**SMALL, "encoder": "4-4-4-4-4", "decoder": "4-4-4-4"}, (9, 5), {}, BOUND, id="five levels"
    ),
    pytest.param(SMALL, SIZE, {"precision": "fp16"}, 5e-3, id="half"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("options", "size", "further", "bound"), OTHERS)
def test_other_networks_too(at_phi, tmp_path, options, size, further, bound):
    first = at_phi(0.35, options, size, **further)
    assert not any("narrow range" in note for note in first.manifest.notes)
    highest = options.get("phi_max", 0.6)
    for phi in [1e-3, 0.1, 0.2718, 0.5, highest, *np.random.default_rng(0).uniform(0.01, 0.6, 5)]:
        copy = respecialise(first, tmp_path / "copy", fixed={"phi": float(phi)}, force=True)
        assert_is_the_network(copy, options, float(phi), bound)
    other = at_phi(0.47, options, size, **further)
    copy = respecialise(first, tmp_path / "copy", fixed={"phi": 0.47}, force=True)
    assert {n for n, h in other.manifest.files.items() if copy.manifest.files[n] != h} <= NOT_EQUAL


class Own(nn.Module):
    """A user's network: its sizes are rounded up, and it resizes by the nearest pixel once."""

    def __init__(self, mode="bilinear", shrink=True):
        super().__init__()
        self.inner, self.outer = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.mode, self.shrink = mode, shrink

    def forward(self, x, phi):
        size = [-int(-side * phi // 1) for side in x.shape[2:]]
        y = self.norm(self.inner(x)).relu()
        if self.shrink:
            y = F.interpolate(y, size=size, mode=self.mode).relu()
        return F.interpolate(self.outer(y), size=x.shape[2:], mode="bilinear")


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(lambda: Own(), id="own rounding"),
        pytest.param(lambda: Own("nearest"), id="nearest", marks=pytest.mark.slow),
        pytest.param(lambda: Own(shrink=False), id="no sizes", marks=pytest.mark.slow),
    ],
)
def test_a_users_own_network(tmp_path, network):
    torch.manual_seed(0)
    model = Amortised(network(), (0.1, 0.9), hidden2=4).eval()
    example = [torch.rand(1, 3, 9, 14)]
    artifact = compile_module(
        model, example, tmp_path / "a", backend="onnx", fixed={"phi": 0.4}, respecialisable=True
    )
    assert not any("narrow range" in note for note in artifact.manifest.notes)
    for phi in (0.1, 0.25, 0.5, 0.7001, 0.9):
        copy = respecialise(artifact, tmp_path / "copy", fixed={"phi": phi}, force=True)
        inputs, outputs = copy.reference("forward")
        (picture,), (found,) = inputs.values(), outputs.values()
        with torch.no_grad():
            expected = model(torch.from_numpy(picture), phi).numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=BOUND * np.abs(expected).max())


class Factor(Own):
    """It passes phi to torch as a factor."""

    def forward(self, x, phi):
        y = F.interpolate(self.inner(x), scale_factor=phi, mode="bilinear")
        return F.interpolate(self.outer(y), size=x.shape[2:], mode="bilinear")


class Pooled(Own):
    """It pools to a number of places that depends on phi."""

    def forward(self, x, phi):
        y = F.adaptive_avg_pool2d(self.inner(x), [max(1, int(side * phi)) for side in x.shape[2:]])
        return F.interpolate(self.outer(y), size=x.shape[2:], mode="bilinear")


@pytest.mark.slow
def test_what_cannot_serve_every_phi_keeps_its_narrow_range(tmp_path):
    model = Amortised(Pooled(), (0.3, 0.9), hidden2=4).eval()
    artifact = compile_module(
        model,
        [torch.rand(1, 3, 8, 12)],
        tmp_path / "a",
        backend="onnx",
        fixed={"phi": 0.55},
        respecialisable=True,
    )
    assert any("in a narrow range only" in note for note in artifact.manifest.notes)
    with pytest.raises(InputError, match="the range in which the program stays the same"):
        respecialise(artifact, tmp_path / "copy", fixed={"phi": 0.8})
    respecialise(artifact, tmp_path / "copy", fixed={"phi": 0.551})
    factor = Amortised(Factor(), (0.3, 0.9), hidden2=4).eval()
    with pytest.raises(InputError, match="leave out --respecialisable"):
        compile_module(
            factor,
            [torch.rand(1, 3, 8, 12)],
            tmp_path / "b",
            backend="onnx",
            fixed={"phi": 0.4},
            respecialisable=True,
        )


def test_the_curve_of_another_phi_is_the_same_file(at_phi):
    one, other = (at_phi(phi).manifest for phi in (0.35, 0.52))
    assert one.files[one.curve] == other.files[other.curve]
