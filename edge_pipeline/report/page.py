"""The demo's page: one HTML file that needs no network, made of pictures, records and figures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from edge_pipeline.record import Record
from edge_pipeline.report.words import count, mib, ms, setting_of, shape, warnings_of

__all__ = ["Accuracy", "DemoPage", "Picture", "Step", "render"]

_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """A picture to show.

    Attributes:
        content: the bytes of a PNG or JPEG file.
        width: in pixels.
        height: in pixels.
        title: what it is, in a few words.
        note: how it was made.
    """

    content: bytes
    width: int
    height: int
    title: str
    note: str = ""

    @property
    def source(self) -> str:
        """A data URI.

        Raises:
            ValueError: the content is neither PNG nor JPEG.
        """
        for magic, kind in _TYPES.items():
            if self.content.startswith(magic):
                return f"data:{kind};base64,{base64.b64encode(self.content).decode()}"
        raise ValueError(f"{self.title}: the picture is neither PNG nor JPEG")


@dataclass(frozen=True)
class Accuracy:
    """How far a compiled program is from eager at its reference input.

    Attributes:
        artifact: its name.
        program: the program compared.
        max_abs: largest absolute difference.
        psnr_db: infinite where nothing differs.
        tolerance: what max_abs may reach.
    """

    artifact: str
    program: str
    max_abs: float
    psnr_db: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the tolerance is kept."""
        return self.max_abs <= self.tolerance


@dataclass(frozen=True)
class Step:
    """A command that was run, and how long it took."""

    command: str
    seconds: float


@dataclass(frozen=True)
class DemoPage:
    """All that the page shows.

    Attributes:
        capture: the capture's name.
        picture: the whole developed picture.
        crops: the same crop, by different means.
        records: of one measurement, at least one.
        accuracies: one a program.
        steps: in the order they were run.
    """

    capture: str
    picture: Picture
    crops: Sequence[Picture]
    records: Sequence[Record]
    accuracies: Sequence[Accuracy]
    steps: Sequence[Step]


def render(page: DemoPage) -> str:
    """The page as HTML text; pictures are inside.

    Args:
        page: what to show.
    """
    environment = Environment(
        loader=PackageLoader("edge_pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"ms": ms, "mib": mib, "count": count, "shape": shape}
    longest = max(max(record.samples_ms) for record in page.records)
    return environment.get_template("demo.html").render(
        page=page,
        axis_ms=_round_up(longest),
        setting=setting_of(page.records[0]),
        warnings=warnings_of(page.records),
        versions=_versions(page.records),
    )


def _versions(records: Sequence[Record]) -> dict[str, str]:
    """Of everything that any of the measured processes had loaded."""
    found: dict[str, str] = {}
    for record in records:
        found |= record.versions
    return dict(sorted(found.items()))


def _round_up(value: float) -> float:
    """The end of an axis that holds `value`: 1, 2 or 5 times a power of ten, or 1.5, 3 or 7.5."""
    power = 10.0 ** len(str(int(value))) / 10 if value >= 1 else 0.1
    steps = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)
    return next((step * power for step in steps if step * power >= value), value)
