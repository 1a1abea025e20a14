"""The demo of `make demo`: develop, segment, compile, verify and measure, and write a page.

Every step is a command that a user can type; it is printed, run, and listed on the page.
"""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import rawpy
from PIL import Image

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import EdgePipelineError, JobError
from edge_pipeline.files import atomic_file, packaged
from edge_pipeline.proof.changes import change_to, changed_cost
from edge_pipeline.record import COST_FILE, CostRecord, Record, read_records
from edge_pipeline.report.chart import Chart, Dot, Series
from edge_pipeline.report.page import Accuracy, DemoPage, Picture, Step, render
from edge_pipeline.segmentation.opening import opened

__all__ = ["main"]

OUTPUT = Path("demo_output")
CAPTURE = packaged("calibration/captures/colorchart.dng")
CHECKPOINT = packaged("calibration/pretrained/isp_default/checkpoint.safetensors")
BACKENDS = ("onnx", "executorch")
FORMS = ("dynamic", "folded")
SIZE = "256x256"
# Left, top, right and bottom of a crop of the capture with edges, colours and flat patches.
CROP = (1140, 660, 1460, 900)
MICROGRAPH = packaged("calibration/pictures/nuclei-d6a880b1.jpg")
# The beginning of the names of the segmenter's metrics in its model card.
DICE = "dice_phi_"
PHIS = (0.15, 0.5)
# The bundled capture was exposed for the window behind the chart.
EXPOSURE_EV = 1.0


class Steps:
    """Runs commands and records them."""

    def __init__(self) -> None:
        self.done: list[Step] = []

    def run(self, *words: str | Path) -> None:
        """Print and run the command `edge-pipeline WORDS`, whose output is shown.

        Raises:
            JobError: If the command fails.
        """
        arguments = [_short(word) for word in words]
        command = shlex.join(["edge-pipeline", *arguments])
        print(f"\n$ {command}", flush=True)
        start = time.perf_counter_ns()
        code = subprocess.run([sys.executable, "-m", "edge_pipeline", *arguments]).returncode  # noqa: S603
        if code:
            raise JobError(f"the command above failed with code {code}, so the demo stops here")
        self.done.append(Step(command, (time.perf_counter_ns() - start) / 1e9))


def _short(word: str | Path) -> str:
    """Return a path relative to the current folder if it lies inside; otherwise the word itself."""
    if isinstance(word, Path) and word.is_relative_to(Path.cwd()):
        return str(word.relative_to(Path.cwd()))
    return str(word)


def compile_all(steps: Steps) -> list[Path]:
    """Compile the default model in every form for every backend; return the artifacts' folders."""
    folders = []
    for backend in BACKENDS:
        for form in FORMS:
            folder = OUTPUT / f"{backend}_{form}"
            calibration = ("--calibration", CAPTURE) if form == "folded" else ()
            steps.run(
                *("compile", CHECKPOINT, "-o", folder, "--backend", backend, "--filters", form),
                *(*calibration, "--input", SIZE, "--force"),
            )
            folders.append(folder)
    return folders


def render_with_libraw(path: Path) -> Image.Image:
    """Render a capture with LibRaw: AHD, as-shot white balance, sRGB, the demo's exposure."""
    with rawpy.imread(str(path)) as raw:
        pixels = raw.postprocess(
            demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD,
            use_camera_wb=True,
            no_auto_bright=True,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=(2.4, 12.92),
            bright=2**EXPOSURE_EV,
            output_bps=8,
        )
    return Image.fromarray(pixels)


def picture_of(image: Image.Image, kind: str, title: str, note: str) -> Picture:
    """Return an image as a picture of the report page.

    Args:
        image: RGB image.
        kind: Format, PNG or JPEG.
        title: Title of the picture.
        note: Text that says how the picture was made.
    """
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, kind, **({"quality": 90} if kind == "JPEG" else {}))
    return Picture(buffer.getvalue(), image.width, image.height, title, note)


def crops_of(developed: Image.Image, libraw: Image.Image) -> list[Picture]:
    """Return the same crop of both pictures; if LibRaw's has a wider border, it is centred."""
    dx, dy = (libraw.width - developed.width) // 2, (libraw.height - developed.height) // 2
    moved = (CROP[0] + dx, CROP[1] + dy, CROP[2] + dx, CROP[3] + dy)
    return [
        picture_of(developed.crop(CROP), "PNG", "edge-pipeline", "the default model"),
        picture_of(libraw.crop(moved), "PNG", "LibRaw", "AHD, same white balance and exposure"),
    ]


def accuracies_of(path: Path) -> list[Accuracy]:
    """Return the worst output of each program on its reference input, from `verify --json`."""
    rows = []
    for report in json.loads(path.read_bytes()):
        # Entries of pairs have no artifact; results on random inputs are not shown on the page.
        programs = report["programs"] if "artifact" in report else ()
        for program in (one for one in programs if one["input"] == "reference"):
            worst = max(program["outputs"], key=lambda output: output["difference"]["max_rel"])
            difference, tolerance = worst["difference"], worst["tolerance"]
            srgb = difference["max_abs_srgb"]
            rows.append(
                Accuracy(
                    artifact=_title(report["artifact"]),
                    program=program["program"],
                    max_abs=difference["max_abs"] if srgb is None else srgb,
                    psnr_db=difference["psnr_db"] or float("inf"),
                    tolerance=tolerance["max_rel" if srgb is None else "max_abs_srgb"],
                )
            )
    return rows


def _title(folder: str) -> str:
    return Path(folder).name.replace("_", " ")


def _titled(records: Sequence[Record]) -> list[Record]:
    return [record.model_copy(update={"artifact": _title(record.artifact)}) for record in records]


def segmented(steps: Steps) -> list[Picture]:
    """Segment a bundled picture at two values of phi; return it and its overlays."""
    artifact = opened(None)
    with Image.open(MICROGRAPH) as image:
        shown = [picture_of(image, "PNG", "A micrograph", "cell nuclei, CC0")]
    for phi in PHIS:
        folder = OUTPUT / f"segmented_{phi:g}"
        steps.run("segment", MICROGRAPH, "-o", folder, "--phi", f"{phi:g}", "--force")
        with Image.open(folder / f"{MICROGRAPH.stem}.overlay.jpg") as image:
            note = f"{macs_at(artifact, phi) / 1e6:.0f} million multiply-accumulates"
            shown.append(picture_of(image, "PNG", f"Labels at phi {phi:g}", note))
    return shown


def macs_at(artifact: Artifact, phi: float) -> int:
    """Return the multiply-accumulates of a segmenter's program at phi."""
    path = artifact.path(COST_FILE)
    cost = changed_cost(path, change_to(artifact, {"phi": phi}))
    return CostRecord.model_validate_json(cost).path.macs


def costs_of_segmenter() -> Chart:
    """Return the chart of the default segmenter's Dice score, from its model card, and its cost."""
    artifact = opened(None)
    metrics = artifact.manifest.card.metrics
    known = {
        float(name.removeprefix(DICE)): value
        for name, value in metrics.items()
        if name.startswith(DICE)
    }
    dots = [
        Dot(macs_at(artifact, phi) / 1e6, value, f"phi {phi:g}: {value:.3f}")
        for phi, value in sorted(known.items())
    ]
    return Chart(
        "Dice score and cost",
        "million multiply-accumulates for 256 x 256 pixels",
        "mean Dice score",
        [Series("phi " + ", ".join(f"{phi:g}" for phi in sorted(known)), dots, "straight")],
        "On the validation pictures, which were not used for training.",
    )


def write_page(steps: Steps, picture: Path, masks: Sequence[Picture]) -> Path:
    """Write the report page and return its path."""
    with Image.open(picture) as image:
        developed = image.convert("RGB")
    page = DemoPage(
        capture=CAPTURE.name,
        picture=picture_of(developed, "JPEG", "The whole picture.", f"In full: {picture.name}."),
        crops=crops_of(developed, render_with_libraw(CAPTURE)),
        masks=masks,
        costs=costs_of_segmenter(),
        records=_titled(read_records(OUTPUT / "records.jsonl")),
        accuracies=accuracies_of(OUTPUT / "verify.json"),
        steps=steps.done,
    )
    target = OUTPUT / "index.html"
    with atomic_file(target) as temporary:
        temporary.write_text(render(page), encoding="utf-8")
    return target


def main() -> int:
    """Run the demo and return the exit code."""
    steps = Steps()
    picture = OUTPUT / f"{CAPTURE.stem}.png"
    try:
        OUTPUT.mkdir(exist_ok=True)
        exposure = ("--exposure", str(EXPOSURE_EV))
        # LibRaw has no tone curve.
        options = (*exposure, "--tone", "linear", "--sidecar", "--force")
        steps.run("develop", CAPTURE, "-o", picture, *options)
        masks = segmented(steps)
        folders = compile_all(steps)
        steps.run("verify", *folders, "--json", OUTPUT / "verify.json")
        steps.run("bench", *folders, "--records", OUTPUT / "records.jsonl")
        page = write_page(steps, picture, masks)
    except EdgePipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"\nThe page is {page.resolve().as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
