"""Labels of tiles compared with those of the whole picture, and with the true masks.

    python -m benchmarks.segment_tiles [--checkpoint FILE] [--phi 0.3] [--pictures 24]

A network whose map sizes depend on phi has no finite halo, so tiles are an approximation. The
network is compiled for 512x512 and for 256x256. Squares of 512x512 pixels from the validation
pictures of the nuclei set are segmented whole by the first program; by the second in tiles with
several overlaps, and scaled to its input (`--resize`). The table shows the share of pixels whose
labels differ from those of the whole square, and the Dice score of each.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.compiler.compile import compile_model
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.data.labelled import load_labelled
from edge_pipeline.files import packaged
from edge_pipeline.overlap import confusion, overlap_of
from edge_pipeline.segmentation.pictures import picture_of_array
from edge_pipeline.segmentation.segmenter import Segmenter, Tiling

CHECKPOINT = packaged("calibration/pretrained/phi_unet_nuclei/checkpoint.safetensors")
WHOLE, TILE = 512, 256
OVERLAPS = (0, 8, 16, 32, 64, 96)

Mask = NDArray[np.uint8]


def squares(most: int) -> Iterator[tuple[NDArray[np.float32], Mask]]:
    """Yield pictures [H, W, 3] and masks: the first 512x512 pixels of larger ones."""
    data = load_labelled("nuclei", "val", {})
    count = 0
    for index in range(len(data)):
        picture, mask = data.read(index)
        if min(mask.shape) >= WHOLE and count < most:
            count += 1
            yield picture[:, :WHOLE, :WHOLE].transpose(1, 2, 0), mask[:WHOLE, :WHOLE]


def compiled(checkpoint: Path, phi: float, folder: Path) -> None:
    """Compile the network for both sizes."""
    for side in (WHOLE, TILE):
        compile_model(
            CompileRequest(
                source=checkpoint,
                output=folder / str(side),
                backend="onnx",
                fixed={"phi": phi},
                size=(side, side),
            )
        )


def labels_of(model: Path, tiling: Tiling, pictures: list[NDArray[np.float32]]) -> list[Mask]:
    """Return the labels of pictures."""
    with Segmenter(model, threads=1, tiling=tiling) as segmenter:
        return [segmenter.segment(picture_of_array(each)).labels for each in pictures]


def dice(found: list[Mask], masks: list[Mask]) -> float:
    """Return the Dice score of the nuclei."""
    counts = [confusion(f, m, 2) for f, m in zip(found, masks, strict=True)]
    return float(overlap_of(counts, background=True).dice)


def main() -> None:
    """Parse the command line, compute the labels, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--phi", type=float, default=0.3)
    parser.add_argument("--pictures", type=int, default=24)
    arguments = parser.parse_args()
    pairs = list(squares(arguments.pictures))
    pictures, masks = [picture for picture, _ in pairs], [mask for _, mask in pairs]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        compiled(arguments.checkpoint, arguments.phi, folder)
        whole = labels_of(folder / str(WHOLE), Tiling(), pictures)
        cases = {f"--overlap {number}": Tiling(number) for number in OVERLAPS}
        cases["--resize"] = Tiling(resize=True)
        print(f"{len(pairs)} squares of {WHOLE} pixels, phi {arguments.phi:g}\n")
        print("| | labels that differ from the whole | most in a picture | Dice |")
        print("|---|---|---|---|")
        print(f"| whole | | | {dice(whole, masks):.4f} |")
        for name, tiling in cases.items():
            found = labels_of(folder / str(TILE), tiling, pictures)
            shares = [float((f != w).mean()) for f, w in zip(found, whole, strict=True)]
            print(
                f"| `{name}` | {np.mean(shares):.3%} | {max(shares):.2%} | "
                f"{dice(found, masks):.4f} |"
            )


if __name__ == "__main__":
    main()
