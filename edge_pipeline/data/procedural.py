"""The data set of procedural pictures: dead leaves, gradients, text and gratings."""

from __future__ import annotations

import math
import string
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from edge_pipeline.data.pictures import DatasetOptions, Pictures

__all__ = ["KINDS", "Options", "dead_leaves", "gradient", "grating", "load", "text"]

RGB8 = NDArray[np.uint8]
Rng = np.random.Generator


class Options(DatasetOptions):
    """Options of the data set.

    Attributes:
        count: Number of pictures. The kinds alternate; every second picture is of dead leaves.
        size: Height and width in pixels.
        seed: Seed of the pictures; the same seed gives the same pictures.
    """

    count: int = Field(default=160, ge=1)
    size: int = Field(default=320, ge=64)
    seed: int = 0


def load(options: Options) -> Pictures:
    """Draw the pictures."""
    order = ("dead_leaves", "gratings", "dead_leaves", "text", "dead_leaves", "gradient")
    names = [order[i % len(order)] for i in range(options.count)]
    pictures = [
        KINDS[name](options.size, np.random.default_rng([options.seed, i]))
        for i, name in enumerate(names)
    ]
    return Pictures("procedural", "drawn by rule, no rights", pictures, names)


def _colour(rng: Rng, n: int) -> NDArray[np.float64]:
    """Draw n colours [n, 3] in 0..1, most of them muted, as in photographs, and some strong."""
    grey = rng.beta(1.2, 1.2, (n, 1))
    spread = rng.exponential(0.12, (n, 1))
    return np.clip(grey + spread * rng.standard_normal((n, 3)), 0, 1)


def _to_bytes(picture: NDArray[np.floating]) -> RGB8:
    return np.asarray(np.clip(picture, 0, 1) * 255 + 0.5, np.uint8)


def _texture(size: int, rng: Rng) -> NDArray[np.float64]:
    """Draw noise [size, size] with a 1/f^p spectrum, zero mean and unit standard deviation."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = np.inf
    phases = rng.standard_normal((size, size // 2 + 1, 2)) @ np.array([1, 1j])
    noise = np.fft.irfft2(phases * frequency ** -rng.uniform(0.8, 1.8), (size, size))
    return np.asarray(noise / noise.std())


def dead_leaves(size: int, rng: Rng) -> RGB8:
    """Draw overlapping discs and polygons of power-law sizes, some of them textured.

    Args:
        size: Height and width in pixels.
        rng: Random generator.

    Returns:
        sRGB picture [size, size, 3], uint8.

    Source: A. B. Lee, D. Mumford, J. Huang, Occlusion models for natural images, IJCV 41, 2001.
    """
    fine = 2 * size  # drawn at twice the size for smooth edges
    count = int(rng.integers(150, 1500))
    # The density of the radius r is proportional to r^-3 between the limits.
    low, high = rng.uniform(2, 12), fine / 3
    u = rng.random(count)
    radii = 1 / np.sqrt(1 / low**2 - u * (1 / low**2 - 1 / high**2))
    colours = (_colour(rng, count + 1) * 255).astype(int)
    leaves = Image.new("RGB", (fine, fine), tuple(map(int, colours[-1])))
    labels = Image.new("I", (fine, fine), 0)
    draw, draw_label = ImageDraw.Draw(leaves), ImageDraw.Draw(labels)
    for i, radius in enumerate(radii):
        x, y = rng.uniform(0, fine, 2)
        angles = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(3, 7))))
        corners = [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]
        box = (x - radius, y - radius, x + radius, y + radius)
        fill = tuple(map(int, colours[i]))
        if rng.random() < 0.6:
            draw.ellipse(box, fill=fill)
            draw_label.ellipse(box, fill=i + 1)
        else:
            draw.polygon(corners, fill=fill)
            draw_label.polygon(corners, fill=i + 1)
    picture = np.asarray(leaves.resize((size, size), Image.Resampling.BOX), np.float64) / 255
    label = np.asarray(labels)[::2, ::2]
    strength = np.where(rng.random(count + 1) < 0.5, rng.exponential(0.06, count + 1), 0)
    tint = 1 + 0.3 * rng.standard_normal((count + 1, 3))
    detail = strength[label] * _texture(size, rng)
    return _to_bytes(picture + detail[..., None] * tint[label])


def gradient(size: int, rng: Rng) -> RGB8:
    """Draw smooth shading between four corner colours, with a soft band across it.

    Args:
        size: Height and width in pixels.
        rng: Random generator.

    Returns:
        sRGB picture [size, size, 3], uint8.
    """
    corners = _colour(rng, 4).reshape(2, 2, 3)
    t = np.linspace(0, 1, size)
    rows = corners[0][None] * (1 - t)[:, None, None] + corners[1][None] * t[:, None, None]
    picture = rows[:, :1] * (1 - t)[None, :, None] + rows[:, 1:] * t[None, :, None]
    angle = rng.uniform(0, math.pi)
    across = math.cos(angle) * t[None, :] + math.sin(angle) * t[:, None]
    band = np.exp(-(((across - rng.uniform(0, 1)) / rng.uniform(0.01, 0.3)) ** 2))
    return _to_bytes(picture + band[..., None] * 0.3 * rng.standard_normal(3))


def grating(size: int, rng: Rng) -> RGB8:
    """Draw a zone plate or a straight grating of two colours, with periods from about 2 pixels.

    Args:
        size: Height and width in pixels.
        rng: Random generator.

    Returns:
        sRGB picture [size, size, 3], uint8.
    """
    y, x = np.mgrid[0:size, 0:size].astype(float)
    if rng.random() < 0.5:
        cy, cx = rng.uniform(0, size, 2)
        phase = ((x - cx) ** 2 + (y - cy) ** 2) * rng.uniform(0.1, 1.0) * math.pi / (2 * size)
    else:
        angle, pitch = rng.uniform(0, math.pi), rng.uniform(2.2, 16)
        phase = 2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / pitch
    wave = 0.5 + 0.5 * np.sin(phase)
    if rng.random() < 0.4:
        wave = np.clip((wave - 0.5) * rng.uniform(1, 8) + 0.5, 0, 1)
    first, second = _colour(rng, 2)
    return _to_bytes(first + wave[..., None] * (second - first))


def text(size: int, rng: Rng) -> RGB8:
    """Draw lines of random characters in several sizes and colours on a plain or shaded ground.

    Args:
        size: Height and width in pixels.
        rng: Random generator.

    Returns:
        sRGB picture [size, size, 3], uint8.
    """
    background, *inks = _colour(rng, 6)
    image = Image.fromarray(gradient(size, rng) if rng.random() < 0.3 else _plain(size, background))
    draw = ImageDraw.Draw(image)
    characters = list(string.ascii_letters + string.digits + ".,;:()[]#/&%    ")
    y = 0.0
    while y < size:
        points = float(rng.choice([9, 11, 13, 16, 22, 34, 60]))
        line = "".join(rng.choice(characters, size // 4))
        ink = tuple(int(v * 255) for v in inks[int(rng.integers(len(inks)))])
        draw.text((rng.uniform(-20, 5), y), line, fill=ink, font=ImageFont.load_default(points))
        y += points * rng.uniform(1.0, 1.6)
    return np.asarray(image)


def _plain(size: int, colour: NDArray[np.float64]) -> RGB8:
    return np.broadcast_to(_to_bytes(colour), (size, size, 3)).copy()


KINDS: dict[str, Callable[[int, Rng], RGB8]] = {
    "dead_leaves": dead_leaves,
    "gradient": gradient,
    "gratings": grating,
    "text": text,
}
