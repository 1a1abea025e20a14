"""Print the outcomes of segmenting when they occur; see `edge_pipeline.report.lines`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_pipeline.report.lines import LineReporter
from edge_pipeline.segmentation.batch import Job, Outcome

__all__ = ["SegmentReporter", "shares_text"]

_SHOWN = 4


def shares_text(shares: Mapping[str, float]) -> str:
    """Return the largest shares of a picture as text, such as `nucleus 12.3 %`.

    Args:
        shares: Share of each label, 0 to 1, the largest first.
    """
    shown = [f"{name} {100 * share:.1f} %" for name, share in list(shares.items())[:_SHOWN]]
    if len(shares) > _SHOWN:
        shown.append(f"{len(shares) - _SHOWN} more")
    return ", ".join(shown) or "background only"


class SegmentReporter(LineReporter):
    """Prints the outcomes of jobs; a context manager during which bars are shown on a terminal.

    Args:
        jobs: Jobs from `plan`.
        summary: Whether the last line is a summary of the outcomes.
    """

    def __init__(self, jobs: Sequence[Job], *, summary: bool) -> None:
        names = [job.picture.name for job in jobs]
        super().__init__(names, noun="pictures", done="segmented", summary=summary)
        self._told: set[str] = set()

    def report(self, outcome: Outcome) -> None:
        """Print the lines of an outcome; a general note is printed once.

        Raises:
            JobError: If standard output cannot be written.
        """
        job = outcome.job
        fresh = [note for note in outcome.general if note not in self._told]
        self._told.update(fresh)
        existed = outcome.existed or outcome.error is not None
        shares = "" if existed else f": {shares_text(outcome.shares)}"
        self.ended(
            outcome.number,
            str(job.picture),
            f"{job.mask}{shares}",
            error=outcome.error,
            existed=outcome.existed,
            notes=[*fresh, *(f"{job.picture}: {note}" for note in outcome.notes)],
        )
