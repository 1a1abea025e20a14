"""Error figures against plain restatements, and for each tolerance the fault that it is for."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edge_pipeline.compare import TOLERANCES, Difference, compare
from edge_pipeline.errors import VerificationError
from edge_pipeline.raw.colour import srgb_encode

Array = NDArray[np.float32]
FP32 = TOLERANCES["fp32"]


def _picture(seed: int = 0) -> Array:
    """Linear RGB with deep shadows, and some values below 0 and above 1, as a network gives."""
    rng = np.random.default_rng(seed)
    return (rng.random((1, 3, 32, 32)) ** 3 * 1.3 - 0.01).astype(np.float32)


def _rgb(reference: Array, output: Array) -> Difference:
    return compare({"rgb": reference}, {"rgb": output}, pictures={"rgb": "camera_linear"})["rgb"]


_values = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 5)),
    elements=st.floats(-100, 100, width=32),
)


@given(_values)
def test_equal_is_no_error(value: Array) -> None:
    figures = compare({"a": value}, {"a": value.copy()}, pictures={"a": "camera_linear"})["a"]
    assert figures == Difference(0, 0, 0, 0, None, 0)
    assert FP32.complaint(figures) is None


@given(_values, st.integers(0, 2**32 - 1))
def test_figures_are_what_they_say(reference: Array, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=reference.shape).astype(np.float32)
    output = reference + noise
    figures = compare({"a": reference}, {"a": output}, ranges={"a": (0, 2)})["a"]
    pairs = [(float(r), float(o)) for r, o in zip(reference.flat, output.flat, strict=True)]
    errors = [abs(o - r) for r, o in pairs]
    largest = max(abs(r) for r, _ in pairs) or 1.0
    rmse = math.sqrt(sum(e * e for e in errors) / len(errors))
    assert figures.max_abs == pytest.approx(max(errors))
    assert figures.max_rel == pytest.approx(max(errors) / largest)
    assert figures.max_rel_elementwise == pytest.approx(
        max(e / max(abs(r), largest / 1000) for e, (r, _) in zip(errors, pairs, strict=True))
    )
    assert figures.rmse == pytest.approx(rmse)
    if rmse > 0:
        assert figures.psnr_db == pytest.approx(20 * math.log10(2 / rmse))
    assert figures.max_abs_srgb is None


@given(_values, st.integers(-3, 3))
def test_relative_error_has_no_unit(reference: Array, exponent: int) -> None:
    output = reference + np.float32(0.5)
    factor = np.float32(2.0**exponent)  # a power of two scales exactly
    one = compare({"a": reference}, {"a": output})["a"]
    other = compare({"a": reference * factor}, {"a": output * factor})["a"]
    if np.abs(reference).max() > 1e-30:
        assert other.max_rel == pytest.approx(one.max_rel)
        assert other.max_rel_elementwise == pytest.approx(one.max_rel_elementwise)


def test_psnr_takes_the_reference_range_when_none_is_given() -> None:
    reference = np.array([0, 4], np.float32)
    figures = compare({"a": reference}, {"a": reference + np.float32(0.5)})["a"]
    assert figures.psnr_db == pytest.approx(20 * math.log10(4 / 0.5))


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_reference_has_a_psnr(value: float) -> None:
    reference = np.full(5, value, np.float32)
    figures = compare({"a": reference}, {"a": reference + np.float32(0.5)})["a"]
    assert figures.psnr_db == pytest.approx(20 * math.log10((value or 1) / 0.5))


def test_srgb_agrees_with_the_colour_stage() -> None:
    reference, output = _picture(), _picture(1)
    expected = np.abs(
        srgb_encode(output.astype(np.float64).clip(0, 1))
        - srgb_encode(reference.astype(np.float64).clip(0, 1))
    ).max()
    assert _rgb(reference, output).max_abs_srgb == pytest.approx(float(expected), abs=1e-6)


def test_srgb_pictures_are_not_encoded_again() -> None:
    reference = np.array([0.2, 1.5], np.float32)
    output = np.array([0.3, 2.5], np.float32)
    figures = compare({"a": reference}, {"a": output}, pictures={"a": "srgb"})["a"]
    assert figures.max_abs_srgb == pytest.approx(0.1, rel=1e-6)


class TestTolerancesCatchTheirFaults:
    """Each fault is one that happens; where one bound alone sees it, that is asserted too."""

    def test_reordered_sums_pass(self) -> None:
        reference = _picture()
        assert FP32.complaint(_rgb(reference, reference * np.float32(1 + 5e-6))) is None

    def test_half_precision(self) -> None:
        reference = _picture()
        half = reference.astype(np.float16).astype(np.float32)
        assert FP32.complaint(_rgb(reference, half)) is not None

    def test_half_precision_filters(self) -> None:
        filters = np.random.default_rng(0).normal(size=(1, 16, 16, 3, 3)).astype(np.float32)
        half = filters.astype(np.float16).astype(np.float32)
        complaint = FP32.complaint(compare({"f": filters}, {"f": half})["f"])
        assert complaint is not None
        assert "relative" in complaint

    def test_one_wrong_filter_value(self) -> None:
        filters = np.random.default_rng(0).normal(size=(1, 16, 16, 3, 3)).astype(np.float32)
        wrong = filters.copy()
        wrong[0, 3, 5, 1, 1] += 1e-3
        assert FP32.complaint(compare({"f": filters}, {"f": wrong})["f"]) is not None

    def test_black_offset_is_seen_in_srgb_only(self) -> None:
        reference = _picture()
        figures = _rgb(reference, reference + np.float32(2e-5))
        assert figures.max_rel < FP32.max_rel
        assert "sRGB" in (FP32.complaint(figures) or "")

    def test_clipping_is_seen_in_relative_error_only(self) -> None:
        reference = _picture()
        figures = _rgb(reference, reference.clip(0, 1))
        assert figures.max_abs_srgb == 0
        assert "relative" in (FP32.complaint(figures) or "")

    def test_one_wrong_pixel(self) -> None:
        reference = _picture()
        wrong = reference.copy()
        wrong[0, 1, 7, 9] += 2e-3
        assert FP32.complaint(_rgb(reference, wrong)) is not None

    def test_shift_by_a_pixel(self) -> None:
        reference = _picture()
        assert FP32.complaint(_rgb(reference, np.roll(reference, 1, axis=-1))) is not None

    def test_bound_itself_is_out(self) -> None:
        figures = Difference(1e-4, 1e-4, 1e-4, 1e-4, 80, None)
        assert FP32.complaint(figures) is not None


class TestRefuses:
    def test_other_names(self) -> None:
        one = np.zeros(3, np.float32)
        with pytest.raises(VerificationError, match="outputs are b, and a"):
            compare({"a": one}, {"b": one})

    def test_other_shapes(self) -> None:
        with pytest.raises(VerificationError, match=r"a has shape \(1, 3\), and \(3,\)"):
            compare({"a": np.zeros(3, np.float32)}, {"a": np.zeros((1, 3), np.float32)})

    def test_nothing(self) -> None:
        with pytest.raises(VerificationError, match="empty"):
            compare({"a": np.zeros(0, np.float32)}, {"a": np.zeros(0, np.float32)})

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_values_that_are_not_finite(self, bad: float) -> None:
        good = np.zeros(3, np.float32)
        poor = np.array([0, bad, bad], np.float32)
        with pytest.raises(VerificationError, match=r"^a has 2 values that are not finite"):
            compare({"a": good}, {"a": poor})
        with pytest.raises(VerificationError, match="the reference of a has 2 values"):
            compare({"a": poor}, {"a": poor})
