"""The shipped segmenter: small, of one origin, good at every phi, and cheap at a low one."""

import numpy as np
import pytest
from PIL import Image

import edge_pipeline
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.data.labelled import load_labelled
from edge_pipeline.data.sets import load_set
from edge_pipeline.files import packaged
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.models.cost import cost_of
from edge_pipeline.overlap import confusion, overlap_of
from edge_pipeline.proof.verify import verify_artifact
from edge_pipeline.segmentation.opening import session_at
from edge_pipeline.train.recipe import load_recipe
from tools.ship import SHIPPED, size_of

SHIP = SHIPPED["logits"]
PICTURES = sorted(packaged("calibration/pictures").glob("nuclei-*.jpg"))


@pytest.fixture(scope="module")
def artifact():
    return Artifact.open(SHIP.folder / "artifact")


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(SHIP.folder / "checkpoint.safetensors")


def dice(pairs):
    counts = [confusion(labels, mask, 2) for labels, mask in pairs]
    return overlap_of(counts, background=True).dice


def bundled(phi):
    for path in PICTURES:
        with Image.open(path.with_suffix("").with_suffix(".mask.png")) as mask:
            true = (np.asarray(mask.convert("L")) > 0).astype(np.uint8)
        yield edge_pipeline.segment(path, phi=phi).labels, true


def test_checkpoint_and_artifact_take_eight_megabytes_at_most():
    assert size_of(SHIP.folder) <= 8_000_000


def test_the_artifact_is_of_the_checkpoint_and_of_the_recipe(artifact, checkpoint):
    assert artifact.manifest.source.checkpoint_sha256 == checkpoint.sha256
    recipe = load_recipe(SHIP.name)
    assert checkpoint.options.items() >= recipe.options.items()
    assert checkpoint.card["metrics"]["training_steps"] == recipe.optimiser.steps
    assert checkpoint.card["licence"] == recipe.licence
    assert artifact.manifest.card.labels == ("background", "nucleus")


def test_the_artifact_agrees_with_eager(artifact):
    assert verify_artifact(artifact).passed


@pytest.mark.parametrize("phi", [0.1, 0.23, 0.6])
def test_any_phi_runs_as_the_checkpoint_does(artifact, checkpoint, phi):
    torch = pytest.importorskip("torch", reason="eager needs torch")
    inputs, _ = artifact.reference("forward")
    with session_at(artifact, phi, threads=1) as session:
        found = session.run(inputs)["logits"]
    image, network = torch.from_numpy(inputs["image"]), checkpoint.build()
    with torch.no_grad():
        eager = network(image, phi).numpy()
        exact = network.double()(image.double(), phi).numpy()
    # Logits of 30 round by 1e-5 of their largest in eager too; other weights would differ by more.
    assert np.abs(found - exact).max() <= 2 * np.abs(eager - exact).max()
    assert np.abs(found - exact).max() <= 2e-5 * np.abs(exact).max()


@pytest.mark.parametrize(("phi", "least"), [(0.15, 0.86), (0.3, 0.86)])
def test_bundled_pictures_are_segmented(phi, least):
    assert len(PICTURES) == 8
    assert dice(bundled(phi)) > least
    inverted = ((1 - labels, true) for labels, true in bundled(phi))
    assert dice(inverted) < 0.5


def test_a_low_phi_takes_less_than_half_of_the_cost(checkpoint):
    model = checkpoint.build()
    low, high = (cost_of(model, (1, 3, 256, 256), {"phi": phi}).path.macs for phi in (0.25, 0.5))
    assert low < high / 2


@pytest.mark.slow
def test_pictures_that_nobody_trained_on_are_segmented():
    if not load_set("nuclei").place.is_dir():
        pytest.skip("the data set nuclei is not in the data root")
    data = load_labelled("nuclei", "test", {})
    found = {
        phi: dice(
            (edge_pipeline.segment(sample.picture, phi=phi).labels, data.read(index)[1])
            for index, sample in enumerate(data.samples)
        )
        for phi in (0.15, 0.3, 0.5)
    }
    assert min(found.values()) > 0.89
