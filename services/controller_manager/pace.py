"""How often a large set of Pods is looked at: Pods change faster than anybody reads of them."""

from __future__ import annotations

from collections.abc import Hashable

LARGE_SET_PODS = 100  # From here on the work of one reconcile is worth saving up for.
PACE_SECONDS = 0.1


class Pace:
    """Lets a large set be looked at only so often: its Pods change faster than anybody reads its status.

    Without it, a thousand Pods that turn ready one by one cost a thousand counts of a thousand Pods.
    """

    def __init__(self) -> None:
        self._last_seconds: dict[Hashable, float] = {}

    def wait_seconds(self, key: Hashable, size: int, now_seconds: float) -> float:
        """0 when it may be looked at now, else how long to put it off."""
        if size < LARGE_SET_PODS:
            return 0.0
        wait = self._last_seconds.get(key, -PACE_SECONDS) + PACE_SECONDS - now_seconds
        if wait > 0:
            return wait
        self._last_seconds[key] = now_seconds
        return 0.0

    def forget(self, key: Hashable) -> None:
        self._last_seconds.pop(key, None)
