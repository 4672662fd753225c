"""Expectations: what a controller has done and its cache does not show yet. Pure.

After asking for N creations or deletions, a controller must not count its children again until
the cache shows those N, or it would do the same work twice. Creations are counted, deletions
remembered by UID (upstream: by key), since the cache may show a deletion in two steps. What
never shows up expires, so that a lost event costs minutes and not for ever.
Upstream: `controller.UIDTrackingControllerExpectations`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from services.machinery.clock import Clock

EXPIRES_SECONDS = 300.0


@dataclass(slots=True)
class _Expected:
    created_at: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)


class Expectations:
    """`key` names the owner."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expected: dict[Hashable, _Expected] = {}

    def expect_creations(self, key: Hashable, count: int) -> None:
        self._expect(key).creations += count

    def expect_deletions(self, key: Hashable, uids: Iterable[str]) -> None:
        self._expect(key).deletions.update(uids)

    def creation_observed(self, key: Hashable, count: int = 1) -> None:
        """Seen in the cache, or known never to come."""
        expected = self._expected.get(key)
        if expected is not None:
            expected.creations -= count

    def deletion_observed(self, key: Hashable, uid: str) -> None:
        expected = self._expected.get(key)
        if expected is not None:
            expected.deletions.discard(uid)

    def settled(self, key: Hashable) -> bool:
        """Whether the cache shows all that was done, or waited for it long enough."""
        expected = self._expected.get(key)
        if expected is None:
            return True
        if expected.creations <= 0 and not expected.deletions:
            return True
        return self._clock.monotonic() - expected.created_at > EXPIRES_SECONDS

    def forget(self, key: Hashable) -> None:
        """The owner is gone."""
        self._expected.pop(key, None)

    def _expect(self, key: Hashable) -> _Expected:
        """A settled record is replaced: its rest (an early or doubled event) must not count again."""
        expected = self._expected.get(key)
        if expected is None or self.settled(key):
            expected = self._expected[key] = _Expected(self._clock.monotonic())
        return expected
