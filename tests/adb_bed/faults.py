"""The faults of the link that a test chooses while the device runs."""

import threading
from dataclasses import dataclass, field

__all__ = ["Faults"]


@dataclass
class _Drop:
    service: str
    after_bytes: int
    gone: bool
    seen: int = 0


@dataclass
class Faults:
    """What goes wrong next; methods may be called from any thread.

    Services are named `push`, `pull`, `shell` and `exec`; for `refuse` and `hang`, any part of an
    opened service's text selects it, such as `sync:` or a part of a command.

    Attributes:
        happened: The faults that occurred, in order, so that a test can check that one did.
        delay_s: Each answer of the device is this much late.
        is_authorized: Whether the device accepts the host's key without a question.
        answers: Whether the device answers a host that connects; if not, it becomes offline.
    """

    delay_s: float = 0.0
    is_authorized: bool = True
    answers: bool = True
    happened: list[str] = field(default_factory=list)
    _drops: list[_Drop] = field(default_factory=list)
    _refused: list[list[object]] = field(default_factory=list)
    _hung: list[list[object]] = field(default_factory=list)
    _corrupt: list[list[object]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def drop_link(
        self, service: str, *, after_bytes: int = 0, times: int = 1, gone: bool = False
    ) -> None:
        """Cut the connection once a service has carried this many bytes of files or output.

        Args:
            service: push, pull, shell or exec.
            after_bytes: The bytes that pass before; 0 cuts as soon as the service begins.
            times: How often; the bytes are counted again each time.
            gone: The device also stops listening, until `AdbBed.plug` is called.
        """
        if service not in ("push", "pull", "shell", "exec"):
            raise ValueError(f"service is {service!r}; it should be push, pull, shell or exec")
        with self._lock:
            self._drops += [_Drop(service, after_bytes, gone) for _ in range(times)]

    def refuse(self, part: str, *, times: int = 1_000_000) -> None:
        """Refuse services whose text contains `part`."""
        with self._lock:
            self._refused.append([part, times])

    def hang(self, part: str, *, times: int = 1) -> None:
        """Accept services whose text contains `part`, and do and answer nothing."""
        with self._lock:
            self._hung.append([part, times])

    def corrupt(self, direction: str, part: str = "", *, times: int = 1) -> None:
        """Change a byte of each packet of a file's data.

        Args:
            direction: push or pull.
            part: Only files whose path on the device contains it.
            times: The number of files.
        """
        if direction not in ("push", "pull"):
            raise ValueError(f"direction is {direction!r}; it should be push or pull")
        with self._lock:
            self._corrupt.append([part, times, direction])

    def clear(self) -> None:
        """Forget all faults that have not occurred."""
        with self._lock:
            self.delay_s, self.is_authorized, self.answers = 0.0, True, True
            for faults in (self._drops, self._refused, self._hung, self._corrupt):
                faults.clear()

    def cuts(self, service: str, size: int) -> _Drop | None:
        """Count bytes of a service; returns the fault if the link is to be cut now."""
        with self._lock:
            for drop in self._drops:
                if drop.service == service:
                    drop.seen += size
                    if drop.seen < drop.after_bytes:
                        return None
                    self._drops.remove(drop)
                    self.happened.append(f"drop {service}")
                    return drop
        return None

    def refuses(self, service: str) -> bool:
        """Whether this service is to be refused."""
        return self._take(self._refused, service, "refuse")

    def hangs(self, service: str) -> bool:
        """Whether this service is to remain silent."""
        return self._take(self._hung, service, "hang")

    def corrupts(self, direction: str, path: str) -> bool:
        """Whether the data of this file are to be changed."""
        return self._take(self._corrupt, path, f"corrupt {direction}", direction)

    def _take(self, faults: list[list[object]], text: str, name: str, *rest: str) -> bool:
        with self._lock:
            for fault in faults:
                part, times, *others = fault
                assert isinstance(part, str)
                assert isinstance(times, int)
                if part in text and others == list(rest):
                    fault[1] = times - 1
                    if times == 1:
                        faults.remove(fault)
                    self.happened.append(f"{name} {text}")
                    return True
        return False
