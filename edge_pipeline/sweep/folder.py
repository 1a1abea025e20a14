"""The folder of a sweep: its records, and the tables and the page that are made from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_pipeline.errors import InputError
from edge_pipeline.files import atomic_file
from edge_pipeline.report.front_page import FrontPage, render_front
from edge_pipeline.report.words import warnings_of
from edge_pipeline.select.front import Score, curves_of
from edge_pipeline.select.record import RECORDS_FILE, Setting, Sweep, read_sweep, write_sweep
from edge_pipeline.select.tables import front_json, front_rows, point_rows, rows_csv
from edge_pipeline.sweep.charts import charts_of

__all__ = ["Folder"]

_SUMMARY = ("points.csv", "front.csv", "front.json", "front.html")
# A change of these fields makes other figures; `checkpoint` is only a path.
_COMPARED = tuple(name for name in Setting.model_fields if name != "checkpoint")


class Folder:
    """The folder of a sweep: its records, and the tables and the page that are made from them.

    Args:
        path: The folder; it is created when the first record is written.
        setting: What all points of the sweep share.

    Raises:
        InputError: If the folder has records of another setting, or that cannot be read.
    """

    def __init__(self, path: Path, setting: Setting) -> None:
        self.path = path
        self.sweep = Sweep(setting=setting)
        if (path / RECORDS_FILE).exists():
            found = read_sweep(path)
            _check_equal(found.setting, setting, path)
            self.sweep = Sweep(setting=setting, points=found.points)

    def save(self, sweep: Sweep) -> None:
        """Replace the records atomically.

        Raises:
            OutputError: If the file cannot be written.
        """
        write_sweep(sweep, self.path / RECORDS_FILE)
        self.sweep = sweep

    @property
    def files(self) -> list[Path]:
        """Paths of the records, the tables and the page."""
        return [self.path / name for name in (RECORDS_FILE, *_SUMMARY)]

    @property
    def warnings(self) -> list[str]:
        """Possible disturbances of the measurements, each once."""
        points = self.sweep.points
        return warnings_of([m.record for point in points for m in point.measurements])

    def summarise(self, score: Score) -> None:
        """Write the tables and the page of the records.

        Args:
            score: Score that the fronts maximise.

        Raises:
            OutputError: If a file cannot be written.
        """
        page = FrontPage(
            title=f"{self.sweep.setting.model} on {self.sweep.setting.dataset}",
            charts=charts_of(self.sweep, score),
            table=front_rows(self.sweep, score),
            facts=[*_facts(self.sweep), *(f"Warning: {text}." for text in self.warnings)],
        )
        contents = (
            rows_csv(point_rows(self.sweep)),
            rows_csv(front_rows(self.sweep, score)),
            front_json(self.sweep, score),
            render_front(page),
        )
        for name, content in zip(_SUMMARY, contents, strict=True):
            with atomic_file(self.path / name) as temporary:
                temporary.write_text(content, encoding="utf-8", newline="")


def _check_equal(found: Setting, asked: Setting, path: Path) -> None:
    for name in _COMPARED:
        if getattr(found, name) != getattr(asked, name):
            raise InputError(
                f"{path / RECORDS_FILE} has records with another {name} ({_short(found, name)}, "
                f"not {_short(asked, name)}); give another folder with -o"
            )


def _short(setting: Setting, name: str) -> str:
    value = getattr(setting, name)
    if name == "pictures":
        return f"{len(value)} pictures from {value[0]} on" if value else "no picture"
    return str(value)


def _facts(sweep: Sweep) -> Sequence[str]:
    """Return sentences on the data and on how the figures were obtained."""
    setting = sweep.setting
    channels, height, width = setting.input
    scaled = "at their own sizes" if setting.resize is None else f"scaled to {height} x {width}"
    curves = curves_of(sweep, "dice")
    return [
        f"{len(sweep.points)} values of phi, all with weights of {setting.checkpoint} "
        f"(SHA-256 {setting.checkpoint_sha256[:16]}).",
        f"{len(setting.pictures)} pictures of the split {setting.split} of {setting.dataset}, "
        f"{scaled}.",
        f"MACs, memory and artifacts are for one input of {channels} x {height} x {width}, without "
        "the hypernetwork. The memory of activations is counted, not measured: the largest sum of "
        "the maps that are in use at one operator, float32, without fused operators.",
        *(
            f"Latency: median with {curve.backend} on {curve.device}; threads: {curve.threads}."
            for curve in curves
            if curve.cost == "latency"
        ),
    ]
