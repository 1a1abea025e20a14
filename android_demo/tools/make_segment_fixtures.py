"""Write the pictures and numbers that the app's tests of segmentation compare with.

Run from the root of the repository: `python android_demo/tools/make_segment_fixtures.py`.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from edge_pipeline.artifact.size_table import SizeTable, TableSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.weight_curve import CurveSpec, WeightCurve
from edge_pipeline.proof.changes import change_to, changed_files
from edge_pipeline.segmentation.output import overlay
from edge_pipeline.segmentation.pictures import picture_of_array
from edge_pipeline.segmentation.segmenter import segment

__all__: list[str] = []

ROOT = Path(__file__).resolve().parents[2]
CALIBRATION = ROOT / "calibration"
FOLDER = ROOT / "android_demo" / "app" / "src" / "test" / "resources" / "fixtures" / "segment"
PHIS = (0.15, 0.352)


def _picture() -> Image.Image:
    """Return four pictures of nuclei side by side, larger than a tile."""
    names = ("1023509c", "20468e87", "a6515d73", "d6a880b1")
    whole = Image.new("RGB", (400, 300))
    for number, name in enumerate(names):
        with Image.open(CALIBRATION / "pictures" / f"nuclei-{name}.jpg") as part:
            whole.paste(part.convert("RGB"), (number % 2 * 200, number // 2 * 150))
    return whole


def _curve() -> bytes:
    """Return a curve with an interpolated, a constant and a product weight, and a table."""
    generator = np.random.default_rng(31)
    knots = (0.1, 0.2, 0.45, 0.6)
    curve = WeightCurve(
        CurveSpec(input="phi", knots=knots),
        {
            "between": generator.normal(size=(4, 3, 5)).astype(np.float32),
            "constant": generator.normal(size=(1, 7)).astype(np.float32),
        },
        {"product": (generator.normal(size=(4, 2)), generator.normal(size=(2, 6)).astype("<f4"))},
        SizeTable(
            TableSpec(macs=1),
            np.array([0.1, 0.25, 0.4]),
            np.array([[10, 1000], [20, 2000], [30, 3000]]),
        ),
    )
    return curve.content()


def main() -> None:
    """Write all files into `FOLDER`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    image = _picture()
    image.save(FOLDER / "picture.png", optimize=True)
    picture = picture_of_array(np.asarray(image))
    artifact = Artifact.open(CALIBRATION / "pretrained" / "phi_unet_nuclei" / "artifact")
    programs = []
    for phi in PHIS:
        result = segment(np.asarray(image), phi=phi, threads=1)
        Image.fromarray(result.labels).save(FOLDER / f"labels_{phi}.png", optimize=True)
        drawn, _ = overlay(picture, result.labels, result.names, 0.3)
        files, spec = changed_files(artifact, artifact.manifest.programs[0],
                                    change_to(artifact, {"phi": phi}))  # fmt: skip
        programs.append({
            "phi": phi,
            "macs": spec.macs,
            "share": float((result.labels > 0).mean()),
            "overlay": zlib.crc32(np.asarray(drawn).tobytes()),
            "files": {name: zlib.crc32(data) for name, data in files.items() if name != spec.graph},
        })  # fmt: skip
    content = _curve()
    (FOLDER / "curve.safetensors").write_bytes(content)
    curve = WeightCurve.open(FOLDER / "curve.safetensors")
    at = {
        str(value): {name: held.ravel().tolist() for name, held in curve.at(value).items()}
        for value in (0.1, 0.2, 0.337, 0.6)
    }
    golden = {"programs": programs, "curve": at}
    (FOLDER / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(f"wrote {len(list(FOLDER.iterdir()))} files into {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
