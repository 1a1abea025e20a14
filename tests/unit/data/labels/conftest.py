"""Writes miniatures of data sets in their published layouts."""

import numpy as np
import pytest
from PIL import Image

PALETTE = [channel for index in range(256) for channel in (index, 255 - index, 7 * index % 256)]


class Miniature:
    """A folder that a test fills with pictures and masks."""

    def __init__(self, folder):
        self.folder = folder
        self.rng = np.random.default_rng(5)

    def picture(self, path, size=(12, 16), channels=3):
        """Write a random picture; returns its codes [H, W, C]."""
        codes = self.rng.integers(0, 256, (*size, channels), np.uint8)
        self.write(path, Image.fromarray(codes.squeeze()))
        return codes

    def mask(self, path, values, size=(12, 16), *, palette=False):
        """Write a mask in which each of the values occurs; returns it [H, W]."""
        count = size[0] * size[1]
        codes = np.resize(np.array(values), count)
        self.rng.shuffle(codes)
        codes = codes.reshape(size).astype(np.uint8)
        image = Image.fromarray(codes)
        if palette:
            image.putpalette(PALETTE)
        self.write(path, image)
        return codes

    def write(self, path, image, **options):
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        image.save(target, **options)

    def text(self, path, *lines):
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def miniature(tmp_path):
    return Miniature(tmp_path / "set")
