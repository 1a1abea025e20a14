"""Print the outcomes of developing when they occur; see `edge_pipeline.report.lines`."""

from __future__ import annotations

from collections.abc import Sequence

from edge_pipeline.isp.batch import Outcome
from edge_pipeline.isp.folder import Job
from edge_pipeline.report.lines import LineReporter

__all__ = ["BatchReporter"]


class BatchReporter(LineReporter):
    """Prints the outcomes of jobs; a context manager during which bars are shown on a terminal.

    Args:
        jobs: Jobs from `plan`.
        picture_name: Name of the picture in the lines; None for its path.
        summary: Whether the last line is a summary of the outcomes.
    """

    def __init__(
        self, jobs: Sequence[Job], *, picture_name: str | None = None, summary: bool
    ) -> None:
        super().__init__(
            [job.capture.name for job in jobs],
            noun="captures",
            done="developed",
            summary=summary,
            all_to_stderr=picture_name is not None,
        )
        self._picture_name = picture_name
        self._numbers = {job.picture: number for number, job in enumerate(jobs)}

    def report(self, outcome: Outcome) -> None:
        """Print the lines of an outcome.

        Raises:
            JobError: If standard output cannot be written.
        """
        job = outcome.job
        self.ended(
            self._numbers[job.picture],
            str(job.capture),
            self._picture_name or str(job.picture),
            error=outcome.error,
            existed=outcome.existed,
            notes=[f"{job.capture}: {note}" for note in outcome.notes],
        )
