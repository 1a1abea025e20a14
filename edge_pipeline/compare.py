"""How far one set of outputs is from another, and how far it may be."""

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

# Below this share of the largest magnitude an element's own relative error says nothing.
_FLOOR = 1e-3
# An error beyond this PSNR may be float32's own: sums in another order leave 125 dB and more.
_ROUNDING_DB = 114.0
# A single draw of an error is up to three times its root mean square; less than bfloat16's remains.
_SINGLE_DB = 20 * math.log10(3)
# How many times the error that passes an output must vary by, for passing to mean anything.
_TELLING = 2.0


@dataclass(frozen=True)
class Difference:
    """Error figures of one output against its reference.

    Attributes:
        max_abs: largest absolute difference, in the output's unit.
        max_rel: `max_abs` over the reference's largest magnitude (over 1 if that is 0). Of whole
            numbers and booleans, such as labels, the share that differs.
        max_rel_elementwise: largest difference over the magnitude of the reference's same element,
            where that is taken as at least a thousandth of the largest.
        rmse: root of the mean squared difference, in the output's unit.
        psnr_db: 20 log10(range / rmse), the range being the declared one or else the reference's;
            None where nothing differs.
        max_abs_srgb: for pictures, largest difference after clipping to [0, 1] and sRGB encoding.
        own_psnr_db: as `psnr_db`, the range being what the reference and 0 span, which is what a
            number format has to cover, whatever is declared.
        varied: the standard deviation of the output over different inputs, over the same span;
            None if it is not known.
        single: the output is one number, so `rmse` is one draw of its error.
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
        """`rmse` over what the reference and 0 span."""
        return 0.0 if self.own_psnr_db is None else 10 ** (-self.own_psnr_db / 20)


@dataclass(frozen=True)
class Tolerance:
    """What a `Difference` must stay within.

    Attributes:
        max_rel: for every output. It sees a single wrong value, and what clipping hides.
        max_abs_srgb: for pictures. It sees shadows, where sRGB is 12.92 times as steep.
        min_psnr_db: for every output, of its `own_psnr_db`. It sees that all values are a little
            worse than the precision explains. The error of a single number may be three times as
            large as that of many on average.
        max_noise: for every output, of `rmse` over the standard deviation over different inputs,
            unless rounding explains the error. It sees a lost layer if most of the output is a
            constant.
    """

    max_rel: float
    max_abs_srgb: float | None = None
    min_psnr_db: float | None = None
    max_noise: float | None = None

    def complaint(self, difference: Difference) -> str | None:
        """What is out of tolerance, as a clause, or None."""
        if not difference.max_rel < self.max_rel:
            return f"relative error {difference.max_rel:.2g} is not under {self.max_rel:.2g}"
        srgb, bound = difference.max_abs_srgb, self.max_abs_srgb
        if srgb is not None and bound is not None and not srgb < bound:
            return f"error in sRGB {srgb:.2g} is not under {bound:.2g}"
        psnr, least = difference.own_psnr_db, self.min_psnr_db
        if least is not None and difference.single:
            least -= _SINGLE_DB
        if psnr is not None and least is not None and not psnr > least:
            return f"PSNR {psnr:.1f} dB is not over {least:.1f} dB"
        varied, noise = difference.varied, self.max_noise
        if varied is None or noise is None or psnr is None or psnr > _ROUNDING_DB:
            return None
        share = difference.own_noise / varied if varied else math.inf
        if not share < noise:
            return f"error over the output's variation {share:.2g} is not under {noise:.2g}"
        return None

    def doubt(self, difference: Difference) -> str | None:
        """A clause if an output that ignored its input would pass as well, or None."""
        varied = difference.varied
        if varied is None or varied > _TELLING * self._unseen():
            return None
        by = f"varies by only {varied:.1g} of its size" if varied else "does not vary"
        return f"{by} over different inputs, so a program that ignored its input would pass"

    def _unseen(self) -> float:
        """The largest `own_noise` that passes, whatever the output is."""
        if self.min_psnr_db is not None:
            return float(10 ** (-self.min_psnr_db / 20))
        return self.max_rel if self.max_noise is None else float(10 ** (-_ROUNDING_DB / 20))

    def plus(self, other: Tolerance) -> Tolerance:
        """How far two outputs may be apart that may each be so far from a third."""
        srgb = None
        if self.max_abs_srgb is not None and other.max_abs_srgb is not None:
            srgb = self.max_abs_srgb + other.max_abs_srgb
        noise = [10 ** (-t.min_psnr_db / 20) for t in (self, other) if t.min_psnr_db is not None]
        psnr = -20 * math.log10(sum(noise)) if noise else None
        share = None
        if self.max_noise is not None and other.max_noise is not None:
            share = self.max_noise + other.max_noise
        return Tolerance(self.max_rel + other.max_rel, srgb, psnr, share)


# Measured on folded and dynamic HyperUNets, trained and not, on pictures and on noise; the figures
# and the faults that each bound must catch stand in docs/decisions/0012-proof.md.
# fp32: backends that reorder sums stay under 5e-6; TF32 and half precision start at 4.9e-4. 1e-4 in
# sRGB is a fortieth of a step of an 8-bit picture. Networks whose outputs vary have 1e-6 of noise.
# fp16: rounding every value to half precision leaves 66 to 73 dB and under 2e-3; to bfloat16, 46 to
# 55 dB.
# int8: 34 to 56 dB on pictures; in ONNX Runtime, calibrated on other pictures, 33.7 dB and 0.23 at
# single clipped values. Scales that saturate, or per-channel weights that a runtime reads wrongly,
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
    """Error figures of every output, computed in double precision.

    Args:
        reference: what should come out, by name.
        outputs: what came out, by name.
        ranges: lowest and highest usual value of outputs, for PSNR.
        pictures: what the values of outputs are; those in `camera_linear` or `srgb` are RGB
            pictures. Camera RGB is encoded as it is, without a colour matrix.
        variations: standard deviations of outputs over different inputs; see `variation`.

    Raises:
        VerificationError: names or shapes differ, an output is empty, or a value is not finite.
    """
    if sorted(reference) != sorted(outputs):
        raise VerificationError(
            f"outputs are {', '.join(outputs) or 'none'}, and {', '.join(reference)} are wanted"
        )
    ranges, pictures, variations = ranges or {}, pictures or {}, variations or {}
    for name, wanted in reference.items():
        _check_comparable(name, wanted, outputs[name])
    return {
        name: _difference(
            wanted, outputs[name], ranges.get(name), pictures.get(name), variations.get(name)
        )
        for name, wanted in reference.items()
    }


def variation(outputs: Sequence[Array]) -> float:
    """How an output varies over inputs: the standard deviation, as a root mean square of elements.

    Args:
        outputs: the output for different inputs, of equal shapes.
    """
    return math.sqrt(float(np.var(np.stack(outputs).astype(np.float64), axis=0).mean()))


def _check_comparable(name: str, wanted: Array, found: Array) -> None:
    if wanted.shape != found.shape:
        raise VerificationError(f"{name} has shape {found.shape}, and {wanted.shape} is wanted")
    if wanted.size == 0:
        raise VerificationError(f"{name} is empty, so nothing can be compared")
    for what, value in (("the reference of ", wanted), ("", found)):
        bad = int(value.size - np.isfinite(value).sum())
        if bad:
            raise VerificationError(f"{what}{name} has {bad} values that are not finite")


def _difference(
    wanted: Array,
    found: Array,
    span: tuple[float, float] | None,
    space: Space | None,
    varied: float | None,
) -> Difference:
    reference, output = wanted.astype(np.float64), found.astype(np.float64)
    if wanted.dtype.kind != "f":
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
        single=wanted.size == 1,
    )


def _discrete_difference(reference: NDArray[np.float64], output: NDArray[np.float64]) -> Difference:
    """Of labels, where a tie of two scores may turn either way, by however much."""
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
    """Linear light in [0, 1] to sRGB in [0, 1]. Source: IEC 61966-2-1.

    `raw.colour` has it too, but lies beside this module, and the device's picture should not
    depend on how errors are told.
    """
    curve: NDArray[np.float64] = 1.055 * np.power(linear, 1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve)
