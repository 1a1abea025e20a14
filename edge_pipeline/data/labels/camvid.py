"""CamVid: street scenes with eleven labels, in two published layouts.

- The SegNet tutorial, 480 x 360 pixels: the folders `train`, `val` and `test` have the pictures
  (PNG, or JPEG in copies), and `trainannot`, `valannot` and `testannot` have the masks with the
  values 0 to 10, and 11 for pixels without a label.
- The original, 960 x 720 pixels: `701_StillsRaw_full` has the pictures and `LabeledApproved_full`
  has masks with 32 colours, which are grouped into the same eleven labels and divided into the
  same splits.

Source: G. Brostow, J. Fauqueur, R. Cipolla, Semantic object classes in video, Pattern Recognition
Letters 30 (2), 2009; V. Badrinarayanan, A. Kendall, R. Cipolla, SegNet, TPAMI 39 (12), 2017.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.data.label_files import (
    PICTURE_SUFFIXES,
    by_stem,
    paired,
    read_codes,
    read_rgb,
)
from edge_pipeline.data.labelled import (
    IGNORED,
    LabelledPictures,
    Sample,
    check_present,
    check_samples,
    set_folder,
)
from edge_pipeline.data.pictures import DatasetOptions
from edge_pipeline.data.sets import load_set
from edge_pipeline.data.splits import Split
from edge_pipeline.errors import InputError

__all__ = ["Options", "load"]

# The labels, with the colours of the original's classes that each of them unites.
_COLOURS = {
    "sky": (0x808080,),
    "building": (0x800000, 0xC00080, 0x008040, 0x400040, 0x40C000),  # arch, bridge, tunnel, wall
    "pole": (0xC0C080, 0x000040),  # traffic cone
    "road": (0x804080, 0x8000C0, 0xC00040),  # markings, for driving or not
    "pavement": (0x0000C0, 0x40C080, 0x8080C0),  # parking block, road shoulder
    "tree": (0x808000, 0xC0C000),  # other vegetation
    "sign symbol": (0xC08080, 0x808040, 0x004040),  # other text, traffic light
    "fence": (0x404080,),
    "car": (0x400080, 0x4080C0, 0xC080C0, 0xC04080, 0x804040),  # pick-up, bus, train, other
    "pedestrian": (0x404000, 0xC08040, 0x4000C0, 0x408040),  # child, cart or pram, animal
    "bicyclist": (0x0080C0, 0xC000C0),  # motorcycle
}
_VOID = len(_COLOURS)
_LABEL_OF = {
    colour: label for label, colours in enumerate(_COLOURS.values()) for colour in colours
} | {0: _VOID}
_ORIGINAL = "701_StillsRaw_full", "LabeledApproved_full"
_MASK = "_L.png"


class Options(DatasetOptions):
    """Options of the data set.

    Attributes:
        folder: Folder of the set in one of the layouts; None for its place in the data root.
    """

    folder: Path | None = None


def load(options: Options, split: Split) -> LabelledPictures:
    """Find the samples of a split.

    Raises:
        InputError: If the folder of the split is missing, or a picture or mask has no partner.
    """
    folder = set_folder("camvid", options.folder)
    original = (folder / _ORIGINAL[0]).is_dir()
    return LabelledPictures(
        name="camvid",
        licence=load_set("camvid").licence,
        labels=tuple(_COLOURS),
        background=False,
        channels=3,
        samples=_original(folder, split) if original else _tutorial(folder, split),
        values={**{label: label for label in range(_VOID)}, _VOID: IGNORED},
        read_picture=read_rgb,
        read_codes=_read_colours if original else read_codes,
    )


def _tutorial(folder: Path, split: Split) -> tuple[Sample, ...]:
    places = folder / split, folder / f"{split}annot"
    check_present("camvid", places)
    return tuple(paired(*places))


def _original(folder: Path, split: Split) -> tuple[Sample, ...]:
    pictures, masks = (folder / name for name in _ORIGINAL)
    found = by_stem(pictures, PICTURE_SUFFIXES)
    samples = (
        Sample(name, path, (masks / f"{name}{_MASK}",))
        for name, path in found.items()
        if _split(name) == split
    )
    for mask in sorted(masks.glob(f"[!.]*{_MASK}")):
        name = mask.name.removesuffix(_MASK)
        if name not in found:
            check_present("camvid", [pictures / f"{name}.png"])
    return check_samples("camvid", samples)


def _split(name: str) -> Split:
    """Return the split to which the SegNet tutorial assigns a frame of the four sequences."""
    sequence, _, frame = name.partition("_")
    if sequence == "0016E5" and "07959" <= frame <= "08159":
        return "val"
    if sequence == "Seq05VD" or (sequence == "0001TP" and frame >= "008550"):
        return "test"
    return "train"


def _read_colours(path: Path) -> NDArray[np.integer]:
    """Read a mask in the original's colours: [H, W], with the values of the SegNet tutorial."""
    red, green, blue = np.rint(read_rgb(path) * 255).astype(np.int64)
    colours = (red << 16) + (green << 8) + blue
    found, where = np.unique(colours, return_inverse=True)
    for colour in found.tolist():
        if colour not in _LABEL_OF:
            raise InputError(
                f"mask {path} has the colour #{colour:06x}, which is no class of camvid; get the "
                f"set from {load_set('camvid').home}"
            )
    labels = np.array([_LABEL_OF[colour] for colour in found.tolist()])
    return labels[where].reshape(colours.shape)
