"""Print the lines of a batch when its jobs end, and bars on a terminal.

Standard output has a line for each picture that exists, and a summary. Standard error has the
notes and the errors. If the picture itself goes to standard output, all lines go to standard error.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from edge_pipeline.errors import EdgePipelineError, JobError
from edge_pipeline.report.terminal import console

__all__ = ["LineReporter", "printable"]

_STYLES = {"developed": "green", "segmented": "green", "exists": "yellow", "error:": "red"}


def printable(text: str, encoding: str) -> str:
    """Return `text` as one line in an encoding; other characters become escapes.

    Args:
        text: Text with the names of files, which may contain any character.
        encoding: Encoding of the stream that prints the text.
    """
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return line.encode(encoding, "backslashreplace").decode(encoding)


class LineReporter:
    """Prints lines; a context manager during which bars are shown on a terminal.

    Args:
        names: Name of each job, for its bar.
        noun: Word for the jobs' inputs, in the plural.
        done: Word for a job that ended well, as in `3 developed, 1 existed, 0 failed`.
        summary: Whether the last line is a summary of the outcomes.
        all_to_stderr: Whether all lines go to standard error.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        noun: str,
        done: str,
        summary: bool,
        all_to_stderr: bool = False,
    ) -> None:
        self._names, self._noun, self._done = names, noun, done
        self._summary = summary
        self._counts: Counter[str] = Counter()
        self._bars: dict[int, TaskID] = {}
        self._lock = threading.Lock()
        self._out, self._err = console(stderr=all_to_stderr), console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._err,
            transient=True,
            disable=not self._err.is_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._all = self._progress.add_task(noun, total=len(names), visible=len(names) > 1)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        done = self._counts.total()
        if isinstance(error, KeyboardInterrupt | SystemExit) and self._summary:
            self._print(
                self._err,
                "interrupted:",
                f"{done} of {len(self._names)} {self._noun} done; the same command does the rest",
            )

    def on_tile(self, number: int, done: int, total: int) -> None:
        """Update the bar of a job; it is called from several threads."""
        with self._lock:
            if number not in self._bars:
                name = printable(self._names[number], self._err.encoding)
                self._bars[number] = self._progress.add_task(name)
            self._progress.update(self._bars[number], completed=done, total=total)

    def ended(
        self,
        number: int,
        source: str,
        output: str,
        *,
        error: EdgePipelineError | None,
        existed: bool,
        notes: Sequence[str],
    ) -> None:
        """Print the lines of a job that ended.

        Args:
            number: Position of the job.
            source: Name of the input in the lines.
            output: Name of the output in the lines.
            error: Reason why it failed, if so.
            existed: Whether the output existed before.
            notes: Notes, which follow `note:`.

        Raises:
            JobError: If a stream cannot be written.
        """
        with self._lock:
            bar = self._bars.pop(number, None)
            if bar is not None:
                self._progress.remove_task(bar)
        self._progress.advance(self._all)
        self._progress.stop()  # removes the bars while lines are printed
        for note in notes:
            self._print(self._err, "note:", note)
        if error is not None:
            self.fail(error, source)
        else:
            word = "exists" if existed else self._done
            self._counts[word] += 1
            # Padded to the same length, so that the names are aligned.
            self._print(self._out, f"{word:<9} ", f"{source} -> {output}")
        self._progress.start()

    def fail(self, error: EdgePipelineError, subject: str = "") -> None:
        """Count and print an error; `subject` precedes a message that does not contain it."""
        self._counts["failed"] += 1
        said = str(error)
        self._print(self._err, "error:", said if subject in said else f"{subject}: {said}")

    def summarize(self) -> None:
        """Print the counts of the outcomes, if there is a summary.

        Raises:
            JobError: If standard output cannot be written.
        """
        if self._summary:
            counts = self._counts
            self._print(
                self._out,
                f"{counts[self._done]} {self._done},",
                f"{counts['exists']} existed, {counts['failed']} failed",
            )

    def _print(self, screen: Console, word: str, rest: str) -> None:
        line = Text.assemble(
            (word, _STYLES.get(word.strip(), "")), " ", printable(rest, screen.encoding)
        )
        try:
            screen.print(line, soft_wrap=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            stream = "error" if screen is self._err else "output"
            raise JobError(f"standard {stream} cannot be written: {error.strerror}") from error
