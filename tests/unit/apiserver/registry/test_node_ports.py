"""The bitmap of node ports: many at once, several servers, a store that fails in between."""

from __future__ import annotations

import asyncio

import pytest

from services.api import errors
from services.apiserver.registry.node_ports import KEY, NodePorts, decoded, encoded
from services.apiserver.rules.addresses import bits_of
from services.apiserver.storage.memory import MemoryStorage
from services.apiserver.storage.storage import Outcome


async def take(ports: NodePorts, number: int) -> int:
    def decide(bits: int) -> tuple[int, int]:
        if bits & bits_of([number]):
            raise errors.internal("taken")
        return bits | bits_of([number]), number

    return await ports.change(decide)


async def first_free(ports: NodePorts) -> int:
    def decide(bits: int) -> tuple[int, int]:
        number = next(n for n in range(30000, 32768) if not bits & bits_of([n]))
        return bits | bits_of([number]), number

    return await ports.change(decide)


class Counting(MemoryStorage):
    swaps = 0
    broken = 0

    async def update(self, key: str, value: bytes, revision: int, *, ttl_seconds: int = 0) -> Outcome:
        self.swaps += 1
        await asyncio.sleep(0)
        outcome = await super().update(key, value, revision, ttl_seconds=ttl_seconds)
        if self.broken:
            self.broken -= 1
            raise errors.unavailable("the connection broke")
        return outcome


async def test_books_survive_their_coding() -> None:
    storage = MemoryStorage()
    bits = bits_of([30000, 30080, 32767])
    await storage.create(KEY, encoded(bits))
    assert decoded((await storage.get(KEY)).stored) == bits


async def test_many_at_once_share_few_swaps_and_no_port() -> None:
    storage = Counting()
    servers = [NodePorts(storage) for _ in range(3)]
    await first_free(servers[0])
    taken = await asyncio.gather(*(first_free(servers[n % 3]) for n in range(300)))
    assert len(set(taken)) == 300
    assert storage.swaps < 50


async def test_what_another_server_gave_back_can_be_taken() -> None:
    storage = MemoryStorage()
    one, two = NodePorts(storage), NodePorts(storage)
    await take(one, 30080)
    with pytest.raises(errors.ApiError, match="taken"):
        await take(two, 30080)
    await one.release(frozenset({30080}))
    assert await take(two, 30080) == 30080


async def test_what_another_server_took_can_be_given_back() -> None:
    storage = MemoryStorage()
    one, two = NodePorts(storage), NodePorts(storage)
    await take(two, 30001)
    await take(one, 30080)
    await two.release(frozenset({30080}))
    assert decoded((await storage.get(KEY)).stored) == bits_of([30001])


async def test_a_swap_of_unknown_outcome_gives_nothing_twice() -> None:
    storage = Counting()
    ports = NodePorts(storage)
    await take(ports, 30001)
    storage.broken = 1
    with pytest.raises(errors.ApiError, match="the connection broke"):
        await take(ports, 30002)
    with pytest.raises(errors.ApiError, match="taken"):  # it had been written
        await take(ports, 30002)
    assert await take(ports, 30003) == 30003


async def test_whoever_goes_away_holds_up_nobody() -> None:
    storage = Counting()
    ports = NodePorts(storage)
    await first_free(ports)
    tasks = [asyncio.ensure_future(first_free(ports)) for _ in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    rest = await asyncio.gather(*tasks[1:])
    assert len(set(rest)) == 4
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
