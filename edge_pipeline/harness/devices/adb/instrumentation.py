"""Orders to the Android app's instrumentation, which `am instrument` starts once for each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, NonNegativeInt, ValidationError

from edge_pipeline.errors import EdgePipelineError, RuntimeFailure
from edge_pipeline.harness.devices.base import DeviceLostError
from edge_pipeline.harness.devices.link import Link
from edge_pipeline.record import MemoryDetail

__all__ = [
    "PACKAGE",
    "PROTOCOL",
    "Described",
    "Instrumentation",
    "Loading",
    "NoBenchmarkError",
    "Nothing",
    "PeakMemory",
    "Runs",
    "Written",
    "results_of",
]

PACKAGE = "org.edgepipeline.app"
"""Name of the app's package."""

PROTOCOL = 1
"""Number of the orders and their answers, which changes if they do."""

Answer = TypeVar("Answer", bound=BaseModel)

_COMPONENT = f"{PACKAGE}/.bench.BenchInstrumentation"
_OK = -1  # Activity.RESULT_OK
_LONGEST_TEXT = 300
_PROBE_S = 5.0


class NoBenchmarkError(RuntimeFailure):
    """Raised if the installed app has no instrumentation."""


class Described(BaseModel):
    """Answer to `describe`: the app's version, and its runtimes' versions by backend."""

    protocol: int
    app: str
    backends: dict[str, str] = {}


class Loading(BaseModel):
    """Answer to `load`: times in nanoseconds, and versions."""

    import_ns: NonNegativeInt
    init_ns: NonNegativeInt
    versions: dict[str, str]


class Runs(BaseModel):
    """Answer to `run`: the time in nanoseconds and the preemptions of each run."""

    runs: tuple[tuple[NonNegativeInt, NonNegativeInt], ...]


class PeakMemory(BaseModel):
    """Answer to `memory`; None if the phone does not tell it."""

    memory: MemoryDetail | None


class Nothing(BaseModel):
    """Answer to `clean`."""


class Written(BaseModel):
    """Answer to `outputs`: path of the file with the outputs."""

    outputs: str


@dataclass(frozen=True)
class Instrumentation:
    """The app's instrumentation on a device.

    Attributes:
        link: Connection to the device.
        limit_s: Longest time of an order in seconds.
    """

    link: Link
    limit_s: float = 600.0

    def ask(self, kind: type[Answer], purpose: str, extras: Mapping[str, str]) -> Answer:
        """Execute an order, and return its answer.

        Args:
            kind: Type of the answer.
            purpose: Description of the order for messages, such as `running m:forward`.
            extras: The order and its values.

        Raises:
            NoBenchmarkError: If the app has no instrumentation.
            RuntimeFailure: If the app cannot execute the order, crashes, or does not end in time.
            DeviceLostError: If the connection ended.
        """
        words = ["am", "instrument", "-w", "-r"]
        for name, value in extras.items():
            words += ["-e", name, value]
        try:
            text = self.link.run([*words, _COMPONENT], timeout_s=self.limit_s).stdout
        except DeviceLostError as error:
            self.link.run(["true"], timeout_s=_PROBE_S)  # raises if the phone itself is lost
            self.stop()
            raise RuntimeFailure(
                f"the app on the phone did not end {purpose} in {self.limit_s:g} s"
            ) from error
        code, results = results_of(text)
        if code != _OK or "answer" not in results:
            raise _failure(text, code, results, purpose)
        try:
            return kind.model_validate_json(results["answer"])
        except ValidationError as error:
            raise RuntimeFailure(
                f"the app on the phone gave an unexpected answer {purpose}; install the app of "
                "this version"
            ) from error

    def stop(self) -> None:
        """End the app, if it runs; a lost connection is no error."""
        try:
            self.link.run(["am", "force-stop", PACKAGE])
        except EdgePipelineError:
            return


def results_of(text: str) -> tuple[int | None, dict[str, str]]:
    """Return the code and the values that `am instrument -r` printed at its end.

    Values may have several lines. The code is None if the instrumentation did not end by itself.

    Source: AOSP, frameworks/base/cmds/am, Instrument.java.
    """
    results: dict[str, str] = {}
    name: str | None = None
    for line in text.splitlines():
        if match := re.fullmatch(r"INSTRUMENTATION_CODE: (-?\d+)", line.strip()):
            return int(match[1]), results
        if match := re.match(r"INSTRUMENTATION_RESULT: ([^=]+)=(.*)", line):
            name = match[1]
            results[name] = match[2]
        elif line.startswith("INSTRUMENTATION_"):
            name = None
        elif name is not None:
            results[name] += "\n" + line
    return None, results


def _failure(
    text: str, code: int | None, results: Mapping[str, Any], purpose: str
) -> RuntimeFailure:
    """Return the error that describes a failed order in one sentence."""
    if "Unable to find instrumentation info" in text:
        return NoBenchmarkError(
            "the app on the phone has no benchmark; install the app of this version (make android)"
        )
    if "error" in results:
        return RuntimeFailure(f"the app on the phone failed {purpose}: {_line(results['error'])}")
    crash = results.get("longMsg") or results.get("shortMsg")
    if crash:
        return RuntimeFailure(f"the app on the phone crashed {purpose}: {_line(crash)}")
    ended = "without a code" if code is None else f"with code {code}"
    return RuntimeFailure(
        f"the app on the phone ended {ended} and without an answer {purpose}; `adb logcat` may "
        "have the reason"
    )


def _line(text: str) -> str:
    """Return the first line of a text, shortened, without its full stop."""
    first = (text.strip().splitlines() or ["no message"])[0]
    return first[:_LONGEST_TEXT].rstrip(".")
