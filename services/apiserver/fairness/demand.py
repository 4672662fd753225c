"""How many seats a priority level's requests want, over time: those that run and those that wait. Pure.

A period's mean and spread, remembered so that a peak counts at once and fades slowly: a level that was busy
gets its seats back before it asks for them again. Upstream: `fairqueuing/integrator.go`, KEP-1040.
"""

from __future__ import annotations

from math import sqrt

REMEMBERED = 0.977  # of what was smoothed, at each period: half of it after five minutes


class Demand:
    """`most` and `smoothed` are as of the last `observe`."""

    __slots__ = ("_held", "_highest", "_seconds", "_seconds_squared", "_since", "_wanted", "most", "smoothed")

    def __init__(self, now: float) -> None:
        self.most, self.smoothed = 0, 0.0
        self._since, self._wanted, self._highest = now, 0, 0
        # The integrals, over the time since the last `observe`, of 1, of what was wanted, and of its square.
        self._held = self._seconds = self._seconds_squared = 0.0

    def note(self, wanted: int, now: float) -> None:
        """So many are wanted from now on."""
        self._pass(now)
        self._wanted = wanted
        if wanted > self._highest:
            self._highest = wanted

    def observe(self, now: float) -> None:
        """A period ends, and the next begins."""
        self._pass(now)
        self.most, self._highest = self._highest, self._wanted
        if self._held <= 0:
            return
        mean = self._seconds / self._held
        spread = sqrt(max(self._seconds_squared / self._held - mean * mean, 0.0))
        envelope = mean + spread
        self.smoothed = max(envelope, REMEMBERED * self.smoothed + (1 - REMEMBERED) * envelope)
        self._held = self._seconds = self._seconds_squared = 0.0

    def _pass(self, now: float) -> None:
        held, self._since = now - self._since, now
        self._held += held
        self._seconds += held * self._wanted
        self._seconds_squared += held * self._wanted * self._wanted
