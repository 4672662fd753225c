"""Token buckets and the client's own rate limit."""

from __future__ import annotations

import asyncio

import structlog

from services.client.token_bucket import UPSTREAM, RateLimiter, TokenBucket
from tests.support.clock import ManualClock


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(2, 3, 0)
    assert [bucket.try_take(0) for _ in range(4)] == [True, True, True, False]
    assert bucket.try_take(0.5)
    assert not bucket.try_take(0.5)
    assert [bucket.try_take(100) for _ in range(4)] == [True, True, True, False]


async def test_upstreams_limits_make_a_burst_wait_its_turn() -> None:
    clock = ManualClock()
    limiter = RateLimiter(UPSTREAM, clock, structlog.get_logger())
    moments: list[float] = []

    async def ask() -> None:
        await limiter.wait("create")
        moments.append(clock.monotonic())

    tasks = [asyncio.ensure_future(ask()) for _ in range(50)]
    await clock.advance(2)
    await asyncio.gather(*tasks)
    assert sum(moment == 0 for moment in moments) == 30
    assert abs(max(moments) - 1.0) < 1e-6  # The other twenty at twenty a second.
