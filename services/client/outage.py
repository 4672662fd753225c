"""Whether the API server is away, as all who watch through one client find out, each for itself.

It is told once, by the first who meets it, and once when the last watches again; a process that follows
twenty kinds would say the same twenty times.
"""

from __future__ import annotations

from weakref import WeakSet


class Outage:
    """Who has met it is forgotten with itself: a watcher that was ended meanwhile waits for nothing."""

    def __init__(self) -> None:
        self._met: WeakSet[object] = WeakSet()

    def met(self, by: object) -> bool:
        """Whether that is the first."""
        first = not self._met
        self._met.add(by)
        return first

    def over(self, by: object) -> bool:
        """Whether that was the last of those who met it."""
        if by not in self._met:
            return False
        self._met.discard(by)
        return not self._met
