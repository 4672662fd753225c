"""Container logs: from the lines of CRI's log format to what `kubectl logs` prints. Pure.

A line is `2026-01-01T00:00:00.123456789Z stdout F text`; P instead of F means that the text goes on
in the next one. Upstream: `pkg/kubelet/kuberuntime/logs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.machinery.clock import parse_time


@dataclass(slots=True)
class LineFilter:
    """Chooses and shapes lines. `remaining_bytes` counts down; None is no limit."""

    timestamps: bool = False
    since: datetime | None = None
    remaining_bytes: int | None = None
    _rest: bytes = b""
    _within: bool = False  # the line that is shown goes on in the next piece

    def feed(self, data: bytes) -> bytes:
        """What of these bytes is to be shown. An unfinished line waits for its end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return self._cut(b"".join(self._shaped(line) for line in lines))

    @property
    def exhausted(self) -> bool:
        return self.remaining_bytes is not None and self.remaining_bytes <= 0

    def _shaped(self, line: bytes) -> bytes:
        parts = line.split(b" ", 3)
        if len(parts) < 3:
            return line + b"\n" if line else b""
        stamp, _, tag = parts[:3]
        text = parts[3] if len(parts) == 4 else b""
        if self.since is not None and _time(stamp) < self.since:
            return b""
        began, self._within = self._within, tag.startswith(b"P")
        end = b"" if self._within else b"\n"
        return (stamp + b" " + text + end) if self.timestamps and not began else text + end

    def _cut(self, data: bytes) -> bytes:
        if self.remaining_bytes is None:
            return data
        data = data[: max(0, self.remaining_bytes)]
        self.remaining_bytes -= len(data)
        return data


def _time(stamp: bytes) -> datetime:
    """Nanoseconds are more than Python keeps; they are cut to microseconds."""
    text = stamp.decode()
    whole, dot, fraction = text.rstrip("Z").partition(".")
    return parse_time(f"{whole}.{fraction[:6]:0<6}Z" if dot else text)
