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
class _Selected:
    part: str
    left: int


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
    _selected: dict[str, list[_Selected]] = field(default_factory=dict)
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
        self._add("refuse", part, times)

    def hang(self, part: str, *, times: int = 1) -> None:
        """Accept services whose text contains `part`, and do and answer nothing."""
        self._add("hang", part, times)

    def corrupt(self, direction: str, part: str = "", *, times: int = 1) -> None:
        """Change a byte of each packet of a file's data.

        Args:
            direction: push or pull.
            part: Only files whose path on the device contains it.
            times: The number of files.
        """
        if direction not in ("push", "pull"):
            raise ValueError(f"direction is {direction!r}; it should be push or pull")
        self._add(f"corrupt {direction}", part, times)

    def clear(self) -> None:
        """Forget all faults that have not occurred."""
        with self._lock:
            self.delay_s, self.is_authorized, self.answers = 0.0, True, True
            self._drops.clear()
            self._selected.clear()

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
        return self._take("refuse", service)

    def hangs(self, service: str) -> bool:
        """Whether this service is to remain silent."""
        return self._take("hang", service)

    def corrupts(self, direction: str, path: str) -> bool:
        """Whether the data of this file are to be changed."""
        return self._take(f"corrupt {direction}", path)

    def _add(self, kind: str, part: str, times: int) -> None:
        with self._lock:
            self._selected.setdefault(kind, []).append(_Selected(part, times))

    def _take(self, kind: str, text: str) -> bool:
        """Use up one fault of this kind that selects the text."""
        with self._lock:
            for fault in self._selected.get(kind, []):
                if fault.left and fault.part in text:
                    fault.left -= 1
                    self.happened.append(f"{kind} {text}")
                    return True
        return False
