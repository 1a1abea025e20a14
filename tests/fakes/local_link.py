"""A link to a temporary folder of this machine that can damage files and lose the connection."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_pipeline.harness.devices.base import DeviceLostError
from edge_pipeline.harness.devices.link import Answer
from edge_pipeline.harness.devices.linked import Kind
from edge_pipeline.harness.devices.local_link import LocalLink
from edge_pipeline.harness.devices.probe import Facts
from edge_pipeline.harness.devices.runners import ProcessRunner
from edge_pipeline.harness.process import PYTHON_WORKER
from edge_pipeline.record import Environment

__all__ = ["WORKER_WORDS", "FaultyLink", "local_kind"]

_PATH = os.pathsep.join(path for path in sys.path if path)
WORKER_WORDS = ["env", f"PYTHONPATH={_PATH}", sys.executable, "-P", "-m", PYTHON_WORKER]


class FaultyLink(LocalLink):
    """A local link with faults.

    Args:
        folder: where the "device" keeps files; this link does not remove it.
        damaged_pushes: how many pushes change a byte.
        damaged_pulls: how many pulls change a byte.

    Attributes:
        lost: whether every method but `connect` and `close` raises; `connect` repairs it if
            `repairable`.
        commands: all that was run.
        on_run: called with each command before it runs.
    """

    def __init__(self, folder: Path, *, damaged_pushes: int = 0, damaged_pulls: int = 0) -> None:
        super().__init__()
        self.folder = str(folder)
        self.damaged_pushes, self.damaged_pulls = damaged_pushes, damaged_pulls
        self.lost = False
        self.repairable = True
        self.connections = 0
        self.open = False
        self.commands: list[list[str]] = []
        self.on_run: Callable[[Sequence[str]], None] = lambda _words: None

    def connect(self) -> None:
        if self.lost and not self.repairable:
            raise DeviceLostError("the fake device is gone")
        if self.lost or not self.open:
            self.connections += 1
        self.lost, self.open = False, True

    def _check(self) -> None:
        if self.lost:
            raise DeviceLostError("the connection to the fake device ended")

    def run(self, words: Sequence[str], *, timeout_s: float = 30.0) -> Answer:
        self.commands.append(list(words))
        self.on_run(words)
        self._check()
        return super().run(words, timeout_s=timeout_s)

    def push(self, source: Path, target: str) -> None:
        self._check()
        super().push(source, target)
        if self.damaged_pushes:
            self.damaged_pushes -= 1
            _change_a_byte(Path(target))

    def pull(self, source: str, target: Path) -> None:
        self._check()
        super().pull(source, target)
        if self.damaged_pulls:
            self.damaged_pulls -= 1
            _change_a_byte(target)

    def close(self) -> None:
        self.open = False


def _change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _environment(_link: object, facts: Facts) -> Environment:
    return Environment(
        system_name=facts.model or "fake",
        host_processor_model_name=facts.processor,
        host_processor_core_count=facts.cores,
        host_memory_bytes=facts.memory_bytes,
        operating_system="fake",
    )


def local_kind(**changes: object) -> Kind:
    """A kind of device that runs the project's worker in this Python."""
    runner = ProcessRunner("worker", WORKER_WORDS, frozenset({"onnx"}))
    fields: dict[str, object] = {"runners": lambda _link: [runner], "describe": _environment}
    return Kind(**(fields | changes))  # type: ignore[arg-type]
