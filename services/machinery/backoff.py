"""Growing delays: how long to wait before something that failed is tried again.

Pure: the caller sleeps. Upstream: `flowcontrol.Backoff`, `workqueue.ItemExponentialFailureRateLimiter`.
"""

from __future__ import annotations

from collections.abc import Hashable
from random import Random

# 2**_SHIFT_MAX exceeds any useful maximum; bounds the exponent so that nothing overflows.
_SHIFT_MAX = 62


class Backoff:
    """base, base·factor, base·factor² … up to max, for each key on its own; `forget` starts a key over."""

    def __init__(self, base_seconds: float, max_seconds: float, factor: float = 2) -> None:
        self._base, self._max, self._factor = base_seconds, max_seconds, factor
        self._failures: dict[Hashable, int] = {}

    def next(self, key: Hashable = "") -> float:
        """The delay to wait now; the next one will be longer."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return self.seconds(failures)

    def seconds(self, failures: int) -> float:
        """The delay after that many earlier failures."""
        return float(min(self._max, self._base * self._factor ** min(failures, _SHIFT_MAX)))

    def peek(self, key: Hashable = "") -> float:
        """The delay that the last `next` gave; 0 where there was no failure."""
        failures = self._failures.get(key, 0)
        return self.seconds(failures - 1) if failures else 0.0

    def failures(self, key: Hashable = "") -> int:
        return self._failures.get(key, 0)

    def forget(self, key: Hashable = "") -> None:
        self._failures.pop(key, None)

    def __len__(self) -> int:
        """How many keys have failures that are not forgotten."""
        return len(self._failures)


def jitter(seconds: float, factor: float, random: Random) -> float:
    """Spreads a delay over [seconds, seconds·(1+factor)), so that many waiters do not wake together."""
    return seconds * (1 + random.random() * factor)
