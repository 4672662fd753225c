"""Token buckets, the client's own rate limit, and its switch. The bucket is pure.

By default a client waits for nobody: the server bounds what it does at a time, and says so.
`connect(…, limiter=RateLimiter(UPSTREAM, clock, log))` gives a client the numbers that upstream's
controller manager has (20 requests a second, bursts of 30), and logs each wait that they cause:
an easy way to see what such limits do to a rollout. Upstream: `client-go/util/flowcontrol`.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.client.log import Logger
from services.machinery.clock import Clock


class TokenBucket:
    """`burst` tokens, refilled at `per_second`. Time is whatever the caller says it is."""

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        self._per_second, self._burst = per_second, burst
        self._tokens, self._at = float(burst), now

    def try_take(self, now: float) -> bool:
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def reserve(self, now: float) -> float:
        """Takes a token that may not be there yet; seconds until it is."""
        self._refill(now)
        self._tokens -= 1
        return max(0.0, -self._tokens / self._per_second)

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now


@dataclass(frozen=True, slots=True)
class Limits:
    per_second: float
    burst: int


UPSTREAM = Limits(20, 30)


class RateLimiter:
    """Makes callers wait for their turn, in the order in which they came."""

    def __init__(self, limits: Limits, clock: Clock, log: Logger) -> None:
        self._clock, self._log = clock, log
        self._bucket = TokenBucket(limits.per_second, limits.burst, clock.monotonic())

    async def wait(self, what: str) -> None:
        seconds = self._bucket.reserve(self._clock.monotonic())
        if seconds > 0:
            # Upstream logs waits over one second; ours are rare enough to say each.
            self._log.info("Waited for the client-side rate limit", seconds=round(seconds, 3), request=what)
            await self._clock.sleep(seconds)
