"""The demo's page: one HTML file that works offline, with pictures, records and figures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from edge_pipeline.record import Record
from edge_pipeline.report.chart import Chart, drawn
from edge_pipeline.report.rendering import rendered
from edge_pipeline.report.words import count, mib, ms, setting_of, shape, warnings_of

__all__ = ["Accuracy", "DemoPage", "Picture", "Step", "render"]

_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """A picture on the page.

    Attributes:
        content: Bytes of a PNG or JPEG file.
        width: Width in pixels.
        height: Height in pixels.
        title: Short description of the picture.
        note: Description of how it was made.
    """

    content: bytes
    width: int
    height: int
    title: str
    note: str = ""

    @property
    def source(self) -> str:
        """The picture as a data URI.

        Raises:
            ValueError: If the content is neither PNG nor JPEG.
        """
        for magic, kind in _TYPES.items():
            if self.content.startswith(magic):
                return f"data:{kind};base64,{base64.b64encode(self.content).decode()}"
        raise ValueError(f"{self.title}: the picture is neither PNG nor JPEG")


@dataclass(frozen=True)
class Accuracy:
    """Difference between a compiled program and eager at the reference input.

    Attributes:
        artifact: Name of the artifact.
        program: Name of the compared program.
        max_abs: Largest absolute difference.
        psnr_db: PSNR in dB; infinite if nothing differs.
        tolerance: Largest allowed value of `max_abs`.
    """

    artifact: str
    program: str
    max_abs: float
    psnr_db: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.max_abs <= self.tolerance


@dataclass(frozen=True)
class Step:
    """A command of the demo, and its time in seconds."""

    command: str
    seconds: float


@dataclass(frozen=True)
class DemoPage:
    """Content of the page.

    Attributes:
        capture: Name of the capture.
        picture: The whole developed picture.
        crops: The same crop, developed by different methods.
        masks: Segmented pictures.
        costs: Quality of the segmenter against its cost.
        records: Records of one measurement; at least one.
        accuracies: Differences from eager, one per program.
        steps: Commands of the demo, in order.
    """

    capture: str
    picture: Picture
    crops: Sequence[Picture]
    masks: Sequence[Picture]
    costs: Chart
    records: Sequence[Record]
    accuracies: Sequence[Accuracy]
    steps: Sequence[Step]


def render(page: DemoPage) -> str:
    """Return the page as HTML text that contains its pictures.

    Args:
        page: Content of the page.
    """
    longest = max(max(record.samples_ms) for record in page.records)
    return rendered(
        "demo.html",
        {"ms": ms, "mib": mib, "count": count, "shape": shape},
        page=page,
        charts=drawn([page.costs]),
        axis_ms=_round_up(longest),
        setting=setting_of(page.records[0]),
        warnings=warnings_of(page.records),
        versions=_versions(page.records),
    )


def _versions(records: Sequence[Record]) -> dict[str, str]:
    """Return the versions of all packages that any measured process loaded, by name."""
    found: dict[str, str] = {}
    for record in records:
        found |= record.versions
    return dict(sorted(found.items()))


def _round_up(value: float) -> float:
    """Return the end of an axis that contains `value`: 1, 1.5, 2, 3, 5 or 7.5 times 10^n."""
    power = 10.0 ** len(str(int(value))) / 10 if value >= 1 else 0.1
    steps = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)
    return next((step * power for step in steps if step * power >= value), value)
