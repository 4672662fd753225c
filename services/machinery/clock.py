"""Time, as the components see it: one interface, so that tests and the cluster itself can own it.

Nothing else in the project asks the machine for the time, sleeps or sets a timer. The real
clock is `services.process.clock.SystemClock`; tests use `tests.support.clock.ManualClock`.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import lru_cache
from math import floor
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Cancels the body after that long and raises TimeoutError; None never does."""
        ...


def rfc3339(moment: datetime) -> str:
    """`metav1.Time`: whole seconds, as in creationTimestamp."""
    return _whole_second(floor(moment.timestamp()))


@lru_cache(maxsize=64)  # Much is written within the same second.
def _whole_second(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat()[:19] + "Z"


def rfc3339_micro(moment: datetime) -> str:
    """`metav1.MicroTime`, as in a Lease's renewTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """Reads either form. ValueError when it is neither."""
    return datetime.fromisoformat(text).astimezone(UTC)
