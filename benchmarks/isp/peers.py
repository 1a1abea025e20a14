"""Demosaicing methods without noise reduction: colour-demosaicing, LibRaw and demosaicnet."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, relu

from benchmarks.isp.captures import Method, Rgb, Take, finish
from edge_pipeline.data.raw_synthesis import SyntheticCapture
from edge_pipeline.raw.cfa import unpack
from edge_pipeline.raw.colour import srgb_decode, srgb_encode, xyz_to_camera_from_srgb
from tests.fakes.dng import Dng, write_dng

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its import uses deprecated parts of its dependencies
    from colour_demosaicing import (
        demosaicing_CFA_Bayer_bilinear,
        demosaicing_CFA_Bayer_Malvar2004,
        demosaicing_CFA_Bayer_Menon2007,
    )

__all__ = ["Curve", "classical", "demosaicnet", "libraw", "menon", "peers"]

Planes = NDArray[np.floating[Any]]
Demosaic = Callable[[Planes, str], Planes]
Curve = Callable[[Planes], Planes]

menon: Demosaic = demosaicing_CFA_Bayer_Menon2007
_BLACK, _SPAN = 1024, 15500
_LAYERS = 15
_HALO = 40  # padding on each side in pixels, more than the network's convolutions remove


def _root(linear: Planes) -> Planes:
    return np.sqrt(np.maximum(linear, 0))


def _squared(coded: Planes) -> Planes:
    return np.maximum(coded, 0) ** 2


def _same(values: Planes) -> Planes:
    return values


def classical(demosaic: Demosaic, encode: Curve = _same, decode: Curve = _same) -> Method:
    """Return a method that uses a function of the package colour-demosaicing.

    Args:
        demosaic: Function of the package.
        encode: Curve that is applied to the mosaic before it.
        decode: Inverse curve, which is applied to the picture after it.
    """

    def develop(sample: SyntheticCapture) -> Rgb:
        mosaic = np.asarray(encode(unpack(sample.packed)), np.float32)
        camera = decode(demosaic(mosaic, "RGGB").transpose(2, 0, 1))
        return finish(camera, sample)

    return develop


def libraw(algorithm: str) -> Method:
    """Return a method that writes the capture to a DNG and develops it with LibRaw.

    LibRaw clips values below the black level.

    Args:
        algorithm: Name of a rawpy.DemosaicAlgorithm.
    """

    def develop(sample: SyntheticCapture) -> Rgb:
        mosaic = np.round(unpack(sample.packed) * _SPAN + _BLACK).clip(0, 65535).astype(np.uint16)
        matrix = tuple(xyz_to_camera_from_srgb(sample.camera_to_srgb).ravel())
        dng = Dng(
            black=(_BLACK,) * 4, white=(_BLACK + _SPAN,), neutral=(1.0, 1.0, 1.0), matrix=matrix
        )
        exposure_ev = sample.exposure_ev if isinstance(sample, Take) else 0.0
        with tempfile.TemporaryDirectory() as folder:
            path = write_dng(Path(folder) / "capture.dng", mosaic, dng)
            with rawpy.imread(str(path)) as raw:
                picture = raw.postprocess(
                    demosaic_algorithm=rawpy.DemosaicAlgorithm[algorithm],
                    use_camera_wb=True,
                    no_auto_bright=True,
                    adjust_maximum_thr=0,
                    bright=2.0**exposure_ev,
                    output_bps=16,
                    gamma=(2.4, 12.92),
                )
        return (picture.transpose(2, 0, 1) / 65535).astype(np.float32)

    return develop


@cache
def _demosaicnet_weights() -> dict[str, Tensor]:
    """Load the package's trained weights directly: its code requires the removed pkg_resources."""
    spec = find_spec("demosaicnet")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("demosaicnet is not installed; run pip install demosaicnet")
    path = Path(spec.origin).parent / "data" / "bayer.pth"
    weights: dict[str, Tensor] = torch.load(  # noqa: TID251 - a peer's file, tensors only
        path, map_location="cpu", weights_only=True
    )
    return weights


def _demosaicnet_forward(mosaic: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Run the package's network, which is reimplemented here.

    Args:
        mosaic: GRBG mosaic [1, 3, H, W], sRGB-encoded, zero where a colour was not sampled.
        weights: Weights of the package.

    Returns:
        The middle of the picture, [1, 3, H', W'].

    Source: M. Gharbi et al., Deep joint demosaicking and denoising, ACM ToG 35(6), 2016, and
        `BayerDemosaick` of the package demosaicnet 0.0.14.
    """

    def layer(name: str) -> tuple[Tensor, Tensor]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    x = conv2d(mosaic, *layer("main_processor.pack_mosaic"), stride=2)
    for index in range(1, _LAYERS + 1):
        x = relu(conv2d(x, *layer(f"main_processor.conv{index}")))
    filters, masks = x.chunk(2, dim=1)
    x = conv2d(filters * masks, *layer("residual_predictor"))
    x = conv_transpose2d(x, *layer("upsampler"), stride=2, groups=3)
    cut = (mosaic.shape[-1] - x.shape[-1]) // 2
    x = torch.cat([mosaic[..., cut:-cut, cut:-cut], x], dim=1)
    x = relu(conv2d(x, *layer("fullres_processor.post_conv")))
    return conv2d(x, *layer("fullres_processor.output"))


def demosaicnet(sample: SyntheticCapture) -> Rgb:
    """Develop with Gharbi's network for captures without noise, on the sRGB-encoded mosaic."""
    mosaic = unpack(sample.packed)
    height, width = mosaic.shape
    # One more column on the left changes the CFA to GRBG, on which the network was trained.
    sides = ((_HALO, _HALO), (_HALO + 1, _HALO + 1))
    coded = np.pad(np.asarray(srgb_encode(mosaic), np.float32), sides, mode="reflect")
    colours = np.zeros((1, 3, *coded.shape), np.float32)
    for colour, row, column in ((1, 0, 0), (0, 0, 1), (2, 1, 0), (1, 1, 1)):
        colours[0, colour, row::2, column::2] = coded[row::2, column::2]
    with torch.inference_mode():
        rgb = _demosaicnet_forward(torch.from_numpy(colours), _demosaicnet_weights())[0].numpy()
    top, left = (coded.shape[0] - rgb.shape[1]) // 2, (coded.shape[1] - rgb.shape[2]) // 2
    top, left = _HALO - top, _HALO + 1 - left
    return finish(srgb_decode(rgb[:, top : top + height, left : left + width]), sample)


def peers() -> dict[str, Method]:
    """Return every method of this module by its name in the tables."""
    return {
        "bilinear": classical(demosaicing_CFA_Bayer_bilinear),
        "Malvar": classical(demosaicing_CFA_Bayer_Malvar2004),
        "Menon": classical(menon),
        "Menon, square root": classical(menon, _root, _squared),
        "Menon, sRGB curve": classical(menon, srgb_encode, srgb_decode),
        "demosaicnet": demosaicnet,
        **{f"LibRaw {name}": libraw(name) for name in ("AHD", "DHT", "AAHD", "PPG", "VNG", "DCB")},
    }
