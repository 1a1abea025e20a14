"""Difference between two sets of outputs, and tolerances for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.schema import Precision, Space
from edge_pipeline.errors import VerificationError

__all__ = ["TOLERANCES", "Difference", "Tolerance", "compare", "variation"]

Array = NDArray[Any]

# Share of the largest magnitude below which an element's own relative error is meaningless.
_FLOOR = 1e-3
# Above this PSNR, float32 rounding may explain an error: reordered sums leave 125 dB and more.
_ROUNDING_DB = 114.0
# One sample of an error may be three times its root mean square; bfloat16's error is still above.
_SINGLE_DB = 20 * math.log10(3)
# Passing is meaningful only if an output varies by more than this multiple of the allowed error.
_MEANINGFUL = 2.0


@dataclass(frozen=True)
class Difference:
    """Differences between one output and its reference.

    Attributes:
        max_abs: Largest absolute difference, in the output's unit.
        max_rel: `max_abs` divided by the reference's largest magnitude (by 1 if that is 0). For
            integers and booleans, such as labels, the share of elements that differ. For uint8 and
            int8, which are labels or rounded numbers, the mean absolute difference divided by the
            reference's range: for two labels, this is the share of elements that differ.
        max_rel_elementwise: Largest difference divided by the magnitude of the same element of the
            reference, which counts as at least a thousandth of the largest magnitude.
        rmse: Root of the mean squared difference, in the output's unit.
        psnr_db: 20 log10(range / rmse), with the declared range, or the reference's if none is
            declared; None if nothing differs.
        max_abs_srgb: For pictures, largest difference after clipping to [0, 1] and sRGB encoding.
        own_psnr_db: As `psnr_db`, but with the smallest range that contains the reference and 0,
            which a number format has to represent, instead of the declared range. For uint8 and
            int8, 20 log10(range / excess), where `excess` is the mean of the differences beyond 1:
            a small error may turn a number that is rounded into the next one.
        varied: Standard deviation of the output over different inputs, divided by the same range;
            None if unknown.
        single: Whether the output is one number, so that `rmse` is one sample of its error.
    """

    max_abs: float
    max_rel: float
    max_rel_elementwise: float
    rmse: float
    psnr_db: float | None
    max_abs_srgb: float | None
    own_psnr_db: float | None = None
    varied: float | None = None
    single: bool = False

    @property
    def own_noise(self) -> float:
        """`rmse` divided by the smallest range that contains the reference and 0."""
        return 0.0 if self.own_psnr_db is None else 10 ** (-self.own_psnr_db / 20)


@dataclass(frozen=True)
class Tolerance:
    """Limits for a `Difference`.

    Attributes:
        max_rel: Limit of `max_rel`, for every output. It detects a single wrong value, also where
            clipping hides it.
        max_abs_srgb: Limit of `max_abs_srgb`, for pictures. It detects errors in shadows, where
            sRGB is 12.92 times as steep as linear light.
        min_psnr_db: Limit of `own_psnr_db`, for every output. It detects that all values are less
            exact than the precision explains. It is lower for a single number, whose error may be
            three times the root mean square error of many numbers.
        max_noise: Limit of `rmse` divided by the standard deviation over different inputs, for
            every output, unless rounding explains the error. It detects a missing layer if most of
            the output is constant.
    """

    max_rel: float
    max_abs_srgb: float | None = None
    min_psnr_db: float | None = None
    max_noise: float | None = None

    def complaint(self, difference: Difference) -> str | None:
        """Return a clause that names the exceeded limit, or None if none is exceeded."""
        if not difference.max_rel < self.max_rel:
            return f"relative error {difference.max_rel:.2g} is not below {self.max_rel:.2g}"
        srgb, bound = difference.max_abs_srgb, self.max_abs_srgb
        if srgb is not None and bound is not None and not srgb < bound:
            return f"error in sRGB {srgb:.2g} is not below {bound:.2g}"
        psnr, least = difference.own_psnr_db, self.min_psnr_db
        if least is not None and difference.single:
            least -= _SINGLE_DB
        if psnr is not None and least is not None and not psnr > least:
            return f"PSNR {psnr:.1f} dB is not above {least:.1f} dB"
        varied, noise = difference.varied, self.max_noise
        if varied is None or noise is None or psnr is None or psnr > _ROUNDING_DB:
            return None
        share = difference.own_noise / varied if varied else math.inf
        if not share < noise:
            return f"error over the output's variation {share:.2g} is not below {noise:.2g}"
        return None

    def doubt(self, difference: Difference) -> str | None:
        """Return a clause if an output that ignores its input would also pass, or None."""
        varied = difference.varied
        if varied is None or varied > _MEANINGFUL * self._largest_passing_noise():
            return None
        by = f"varies by only {varied:.1g} of its size" if varied else "does not vary"
        return f"{by} over different inputs, so a program that ignores its input would also pass"

    def _largest_passing_noise(self) -> float:
        """Return the largest `own_noise` that passes for every output."""
        if self.min_psnr_db is not None:
            return float(10 ** (-self.min_psnr_db / 20))
        return self.max_rel if self.max_noise is None else float(10 ** (-_ROUNDING_DB / 20))

    def plus(self, other: Tolerance) -> Tolerance:
        """Return the tolerance between two outputs that are each within tolerance of a third."""
        srgb = None
        if self.max_abs_srgb is not None and other.max_abs_srgb is not None:
            srgb = self.max_abs_srgb + other.max_abs_srgb
        noise = [10 ** (-t.min_psnr_db / 20) for t in (self, other) if t.min_psnr_db is not None]
        psnr = -20 * math.log10(sum(noise)) if noise else None
        share = None
        if self.max_noise is not None and other.max_noise is not None:
            share = self.max_noise + other.max_noise
        return Tolerance(self.max_rel + other.max_rel, srgb, psnr, share)


# Measured on folded and dynamic HyperUNets, trained and untrained, on pictures and on noise. The
# measurements and the faults that each limit must detect are in docs/decisions/0012-proof.md.
# fp32: backends that reorder sums stay below 5e-6; TF32 and half precision start at 4.9e-4. 1e-4 in
# sRGB is a fortieth of a step of an 8-bit picture. If outputs vary, the noise is about 1e-6.
# fp16: rounding every value to half precision leaves 66 to 73 dB and errors below 2e-3; rounding to
# bfloat16 leaves 46 to 55 dB.
# int8: 34 to 56 dB on pictures; in ONNX Runtime, calibrated on other pictures, 33.7 dB and 0.23 at
# single clipped values. Saturated scales, or per-channel weights that a runtime reads incorrectly,
# leave 24 dB and less.
TOLERANCES: Mapping[Precision, Tolerance] = {
    "fp32": Tolerance(max_rel=1e-4, max_abs_srgb=1e-4, max_noise=1e-4),
    "fp16": Tolerance(max_rel=1e-2, min_psnr_db=60.0),
    "int8": Tolerance(max_rel=0.5, min_psnr_db=30.0),
}


def compare(
    reference: Mapping[str, Array],
    outputs: Mapping[str, Array],
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    pictures: Mapping[str, Space] | None = None,
    variations: Mapping[str, float] | None = None,
) -> dict[str, Difference]:
    """Compute the differences of every output from its reference, in double precision.

    Args:
        reference: Expected outputs by name.
        outputs: Outputs by name.
        ranges: Lowest and highest usual value of outputs, for PSNR.
        pictures: Colour spaces of outputs; those in `camera_linear` or `srgb` are RGB pictures.
            Camera RGB is encoded without a colour matrix.
        variations: Standard deviations of outputs over different inputs; see `variation`.

    Returns:
        The differences by the output's name.

    Raises:
        VerificationError: If names or shapes differ, if an output is empty, or if a value is not
            finite.
    """
    if sorted(reference) != sorted(outputs):
        raise VerificationError(
            f"expected the outputs {', '.join(reference)}, got {', '.join(outputs) or 'none'}"
        )
    ranges, pictures, variations = ranges or {}, pictures or {}, variations or {}
    for name, expected in reference.items():
        _check_comparable(name, expected, outputs[name])
    return {
        name: _difference(
            expected, outputs[name], ranges.get(name), pictures.get(name), variations.get(name)
        )
        for name, expected in reference.items()
    }


def variation(outputs: Sequence[Array]) -> float:
    """Return an output's standard deviation over inputs, as the root mean square over elements.

    Args:
        outputs: The output for different inputs, in equal shapes.
    """
    return math.sqrt(float(np.var(np.stack(outputs).astype(np.float64), axis=0).mean()))


def _check_comparable(name: str, expected: Array, found: Array) -> None:
    if expected.shape != found.shape:
        raise VerificationError(f"{name}: expected the shape {expected.shape}, got {found.shape}")
    if expected.size == 0:
        raise VerificationError(f"{name} is empty, so it cannot be compared")
    for prefix, value in (("the reference of ", expected), ("", found)):
        bad = int(value.size - np.isfinite(value).sum())
        if bad:
            raise VerificationError(f"{prefix}{name} has {bad} values that are not finite")


def _difference(
    expected: Array,
    found: Array,
    span: tuple[float, float] | None,
    space: Space | None,
    varied: float | None,
) -> Difference:
    reference, output = expected.astype(np.float64), found.astype(np.float64)
    if expected.dtype.kind in "iu" and expected.dtype.itemsize == 1:
        return _step_difference(reference, output)
    if expected.dtype.kind != "f":
        return _discrete_difference(reference, output)
    error = np.abs(output - reference)
    magnitude = np.abs(reference)
    scale = float(magnitude.max()) or 1.0
    rmse = math.sqrt(float(np.mean(error**2)))
    low, high = span or (float(reference.min()), float(reference.max()))
    peak = (high - low) or scale  # a constant reference has no range
    own = max(0.0, float(reference.max())) - min(0.0, float(reference.min())) or scale
    return Difference(
        max_abs=float(error.max()),
        max_rel=float(error.max()) / scale,
        max_rel_elementwise=float((error / np.maximum(magnitude, _FLOOR * scale)).max()),
        rmse=rmse,
        psnr_db=20 * math.log10(peak / rmse) if rmse > 0 else None,
        max_abs_srgb=_max_abs_srgb(reference, output, space),
        own_psnr_db=20 * math.log10(own / rmse) if rmse > 0 else None,
        varied=None if varied is None else varied / own,
        single=expected.size == 1,
    )


def _discrete_difference(reference: NDArray[np.float64], output: NDArray[np.float64]) -> Difference:
    """Return the share of labels that differ, since the size of a difference has no meaning."""
    error = np.abs(output - reference)
    share = float(np.mean(error > 0))
    return Difference(
        max_abs=float(error.max()),
        max_rel=share,
        max_rel_elementwise=share,
        rmse=math.sqrt(float(np.mean(error**2))),
        psnr_db=None,
        max_abs_srgb=None,
    )


def _step_difference(reference: NDArray[np.float64], output: NDArray[np.float64]) -> Difference:
    """Return the difference of 8-bit integers, which are labels or rounded numbers."""
    error = np.abs(output - reference)
    span = float(reference.max() - reference.min()) or 1.0
    rmse = math.sqrt(float(np.mean(error**2)))
    excess = float(np.mean(np.maximum(error - 1, 0)))
    return Difference(
        max_abs=float(error.max()),
        max_rel=float(error.mean()) / span,
        max_rel_elementwise=float((error / np.maximum(np.abs(reference), 1)).max()),
        rmse=rmse,
        psnr_db=20 * math.log10(span / rmse) if rmse > 0 else None,
        max_abs_srgb=None,
        own_psnr_db=max(0.0, 20 * math.log10(span / excess)) if excess > 0 else None,
    )


def _max_abs_srgb(
    reference: NDArray[np.float64], output: NDArray[np.float64], space: Space | None
) -> float | None:
    if space not in ("camera_linear", "srgb"):
        return None
    first, second = reference.clip(0, 1), output.clip(0, 1)
    if space == "camera_linear":
        first, second = _srgb_encode(first), _srgb_encode(second)
    return float(np.abs(second - first).max())


def _srgb_encode(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Encode linear light in [0, 1] to sRGB in [0, 1]. Source: IEC 61966-2-1.

    `raw.colour` has the same function. It is repeated here so that verification and the colours of
    developed pictures do not depend on each other.
    """
    curve: NDArray[np.float64] = 1.055 * np.power(linear, 1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve)
