"""Random inputs are legal: sizes, ranges, and another set each time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.artifact.manifest import Delegation, ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.runtime.inputs import Kind, random_inputs


def _spec(*inputs: TensorSpec) -> ProgramSpec:
    return ProgramSpec(
        name="forward",
        file="model",
        inputs=inputs,
        outputs=(TensorSpec(name="y", shape=(1,), layout="N", meaning="any"),),
        macs=0,
        flops=0,
        delegation=Delegation(delegate="none", delegated={}, outside={}),
        reference="reference.safetensors",
    )


@given(
    st.integers(1, 8),
    st.integers(2, 5),
    st.integers(0, 99),
    st.sampled_from(["noise", "picture"]),
    st.integers(1, 40),
)
def test_they_fit_and_stay_in_range(
    step: int, cells: int, seed: int, kind: Kind, minimum: int
) -> None:
    side = step * -(-max(minimum, 2 * step) // step)
    spec = _spec(
        TensorSpec(
            name="x", shape=(1, 2, f"{step}*h", f"{step}*w"), range=(-1, 3), meaning="picture"
        ),
        TensorSpec(name="signal", shape=(1, 3, "h", "w"), meaning="features"),
        TensorSpec(name="filter", shape=(1, 2, 2, cells, cells), layout="NOIHW", meaning="filter"),
    )
    reference = {
        "x": np.ones((1, 2, side, side), np.float32),
        "signal": np.ones((1, 3, side // step, side // step), np.float32),
        "filter": np.full((1, 2, 2, cells, cells), 7, np.float32),
    }
    rng = np.random.default_rng(seed)
    inputs = random_inputs(spec, reference, rng, kind=kind, minimum=minimum)
    sizes: dict[str, int] = {}
    for tensor in spec.inputs:
        assert inputs[tensor.name].dtype == np.float32
        assert tensor.fits(inputs[tensor.name].shape, sizes)
    assert min(inputs["x"].shape[2:]) >= minimum
    assert inputs["x"].min() >= -1
    assert inputs["x"].max() <= 3
    assert abs(float(inputs["filter"].mean()) - 7) < 3
    again = random_inputs(spec, reference, rng, kind=kind, minimum=minimum)
    assert not np.array_equal(again["filter"], inputs["filter"])


def test_rangeless_tensors_have_the_references_moments() -> None:
    spec = _spec(TensorSpec(name="x", shape=(1, 8, 64, 64), meaning="features"))
    reference = {"x": np.random.default_rng(1).normal(5, 0.1, (1, 8, 64, 64)).astype(np.float32)}
    drawn = random_inputs(spec, reference, np.random.default_rng(0), kind="noise")["x"]
    assert float(drawn.mean()) == pytest.approx(5, abs=0.01)
    assert float(drawn.std()) == pytest.approx(0.1, rel=0.05)


def test_pictures_are_smooth_and_noise_is_not() -> None:
    spec = _spec(TensorSpec(name="x", shape=(1, 1, 64, 64), range=(0, 1), meaning="picture"))
    reference = {"x": np.ones((1, 1, 64, 64), np.float32)}
    kinds: tuple[Kind, ...] = ("noise", "picture")
    steps = [
        float(np.abs(np.diff(random_inputs(spec, reference, rng, kind=kind)["x"])).mean())
        for rng, kind in ((np.random.default_rng(0), kind) for kind in kinds)
    ]
    assert steps[0] > 3 * steps[1]
