"""Error figures against plain restatements, and for each tolerance the fault that it is for."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compare import TOLERANCES, Difference, Tolerance, compare, variation
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
    assert figures == Difference(0, 0, 0, 0, None, 0, single=value.size == 1)
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


def _rounded_to_bfloat16(values: Array) -> Array:
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) & np.uint32(0xFFFF0000)).view(np.float32)


def _quantised(values: Array, bits: int = 8, *, reach: float = 1.0) -> Array:
    """Every value on one of 2^bits steps that cover `reach` of what the values span."""
    low, high = reach * min(0.0, float(values.min())), reach * max(0.0, float(values.max()))
    step = (high - low) / (2**bits - 1)
    return (np.round(values.clip(low, high) / step) * step).astype(np.float32)


def _layers(rounded: Callable[[Array], Array], *, sums: bool) -> Difference:
    """Eight layers of 16 channels whose maps, or also weights and partial sums, are rounded."""

    def run(rounded: Callable[[Array], Array]) -> Array:
        rng = np.random.default_rng(1)
        x = rng.random((16, 4096)).astype(np.float32)
        for _ in range(8):
            weight = rng.normal(0, (2 / 16) ** 0.5, (16, 16)).astype(np.float32)
            total = np.zeros_like(x)
            for column, row in zip((rounded(weight) if sums else weight).T, x, strict=True):
                total += column[:, None] * row
                total = rounded(total) if sums else total
            x = rounded(np.maximum(total, 0))
        return x

    return compare({"a": run(lambda x: x)}, {"a": run(rounded)})["a"]


class TestTolerancesOfLowerPrecisions:
    FP16 = TOLERANCES["fp16"]
    INT8 = TOLERANCES["int8"]

    def test_half_precision_passes_as_fp16(self) -> None:
        figures = _layers(lambda x: x.astype(np.float16).astype(np.float32), sums=True)
        assert self.FP16.complaint(figures) is None

    def test_bfloat16_is_caught(self) -> None:
        assert self.FP16.complaint(_layers(_rounded_to_bfloat16, sums=True)) is not None

    def test_a_single_number_may_have_three_times_the_usual_error_in_fp16(self) -> None:
        def complaint(error: float, count: int) -> str | None:
            one, other = (np.full(count, value, np.float32) for value in (1, 1 + error))
            return self.FP16.complaint(compare({"a": one}, {"a": other})["a"])

        assert complaint(2.5e-3, 1) is None
        assert "PSNR" in (complaint(2.5e-3, 2) or "")
        assert "PSNR" in (complaint(2**-8, 1) or "")  # bfloat16's

    def test_overflow_at_one_place_is_caught_in_fp16(self) -> None:
        reference = _picture()
        wrong = reference.copy()
        wrong[0, 1, 7, 9] += 0.02
        assert "relative" in (self.FP16.complaint(_rgb(reference, wrong)) or "")

    def test_eight_bits_pass_as_int8(self) -> None:
        assert self.INT8.complaint(_layers(_quantised, sums=False)) is None

    @pytest.mark.parametrize("bits", [3, 4])
    def test_fewer_bits_are_caught(self, bits: int) -> None:
        assert self.INT8.complaint(_layers(lambda x: _quantised(x, bits), sums=False)) is not None

    def test_saturated_scale_is_caught(self) -> None:
        reference = _picture()
        wrong = _quantised(reference, reach=0.5)
        assert self.INT8.complaint(_rgb(reference, wrong)) is not None

    def test_what_a_declared_range_hides_is_seen(self) -> None:
        """Dark pictures: against the declared 1 they look fine, and half of the signal is gone."""
        reference = _picture() * np.float32(0.01)
        figures = compare({"a": reference}, {"a": reference / 2}, ranges={"a": (0, 1)})["a"]
        assert figures.psnr_db is not None
        assert figures.psnr_db > 30
        assert "dB" in (Tolerance(10, None, 30.0).complaint(figures) or "")

    @given(st.floats(1e-6, 0.5), st.floats(1e-6, 0.5), st.floats(20, 90), st.floats(20, 90))
    def test_two_within_tolerance_of_a_third_are_within_the_sum(
        self, one: float, other: float, first: float, second: float
    ) -> None:
        both = Tolerance(one, None, first).plus(Tolerance(other, None, second))
        assert both.max_rel == pytest.approx(one + other)
        assert both.min_psnr_db is not None
        assert both.min_psnr_db <= min(first, second)
        assert both.min_psnr_db >= min(first, second) - 6.03
        assert Tolerance(one, 1e-4).plus(Tolerance(other, None, second)) == Tolerance(
            both.max_rel, None, pytest.approx(second)
        )


class TestRefuses:
    def test_other_names(self) -> None:
        one = np.zeros(3, np.float32)
        with pytest.raises(VerificationError, match="expected the outputs a, got b"):
            compare({"a": one}, {"b": one})

    def test_other_shapes(self) -> None:
        with pytest.raises(VerificationError, match=r"a: expected the shape \(3,\), got \(1, 3\)"):
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


class TestVariation:
    """An error is held against how the output varies over inputs; see decision 16."""

    BIAS = np.full((1, 1, 16, 16), 3.0, np.float32)

    def test_is_the_deviation_over_inputs_and_not_over_places(self) -> None:
        ramp = np.linspace(0, 9, 64, dtype=np.float32).reshape(8, 8)
        assert variation([ramp, ramp, ramp]) == 0
        assert variation([ramp, ramp + 2]) == pytest.approx(1)

    @given(_values, st.integers(2, 4), st.integers(0, 2**32 - 1))
    def test_agrees_with_a_plain_restatement(self, value: Array, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        many = [value + rng.normal(size=value.shape).astype(np.float32) for _ in range(count)]
        total = 0.0
        for place in np.ndindex(value.shape):
            found = [float(one[place]) for one in many]
            mean = sum(found) / count
            total += sum((f - mean) ** 2 for f in found) / count
        assert variation(many) == pytest.approx(math.sqrt(total / value.size), rel=1e-6, abs=1e-9)

    def _lost(self, varied: float) -> Difference:
        """An output that is a large bias and a little signal, against the bias alone."""
        rng = np.random.default_rng(0)
        reference = (self.BIAS + varied * rng.standard_normal(self.BIAS.shape)).astype(np.float32)
        return compare({"a": reference}, {"a": self.BIAS}, variations={"a": varied})["a"]

    @pytest.mark.parametrize("varied", [1e-1, 1e-3, 3e-5])
    def test_lost_signal_is_seen_beside_a_large_bias(self, varied: float) -> None:
        assert FP32.complaint(self._lost(varied)) is not None
        assert FP32.doubt(self._lost(varied)) is None

    def test_rounding_is_no_fault(self) -> None:
        rounded = self.BIAS * np.float32(1 + 1e-6)
        figures = compare({"a": self.BIAS}, {"a": rounded}, variations={"a": 1e-6})["a"]
        assert FP32.complaint(figures) is None

    @pytest.mark.parametrize(
        ("precision", "told", "silent"),
        [("fp32", 3e-6, 1e-4), ("fp16", 2e-3, 0.1), ("int8", 0.1, 1)],
    )
    def test_doubt_begins_where_a_lost_signal_passes(
        self, precision: Precision, told: float, silent: float
    ) -> None:
        tolerance = TOLERANCES[precision]
        assert tolerance.complaint(self._lost(told)) is None
        assert "ignores its input" in (tolerance.doubt(self._lost(told)) or "")
        assert tolerance.complaint(self._lost(silent)) is not None
        assert tolerance.doubt(self._lost(silent)) is None

    def test_constant_output_is_called_so(self) -> None:
        figures = compare({"a": self.BIAS}, {"a": self.BIAS}, variations={"a": 0.0})["a"]
        assert "does not vary" in (FP32.doubt(figures) or "")
        assert FP32.complaint(figures) is None

    def test_unknown_variation_is_no_doubt(self) -> None:
        figures = compare({"a": self.BIAS}, {"a": self.BIAS})["a"]
        assert figures.varied is None
        assert FP32.doubt(figures) is None
