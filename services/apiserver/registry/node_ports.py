"""The books of node ports: one bitmap in etcd, changed by compare-and-swap.

Upstream: the RangeAllocation under `/registry/ranges`, and `pkg/registry/core/service/allocator`.
Whoever asks while a swap is on its way shares the next one. Where it is not known whether a swap
came about, what it took stays taken until the repair finds that nobody has it.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.rules.addresses import NODE_PORTS, bits_of
from services.apiserver.storage.storage import Storage, Stored

KEY = "/registry/ranges/servicenodeports"
SWAPS_MAX = 100
T = TypeVar("T")
# What becomes of the bitmap, and the answer. It may be asked again, of another bitmap.
Decide = Callable[[int], tuple[int, T]]


@dataclass(slots=True)
class _Ask(Generic[T]):
    decide: Decide[T]
    answer: T | None = None
    error: ApiError | None = None
    done: bool = False


class NodePorts:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = asyncio.Lock()
        self._seen: Stored | None = None  # the books as this server last wrote or read them
        self._waiting: list[_Ask[object]] = []

    async def change(self, decide: Decide[T]) -> T:
        """What `decide` answers of the bitmap that its change was made to; what it raises."""
        ask: _Ask[T] = _Ask(decide)
        self._waiting.append(ask)  # type: ignore[arg-type]
        try:
            async with self._lock:
                if not ask.done:
                    batch = [other for other in self._waiting if not other.done]
                    await self._swap(batch)
        finally:
            self._waiting.remove(ask)  # type: ignore[arg-type]
        if ask.error is not None:
            raise ask.error
        return ask.answer  # type: ignore[return-value]

    async def release(self, numbers: frozenset[int]) -> None:
        freed = bits_of(numbers)
        await self.change(lambda bits: (bits & ~freed, None))

    async def _swap(self, batch: Sequence[_Ask[object]]) -> None:
        """Settles all of them with one swap, or as many as it takes to win one."""
        current, fresh = self._seen, False
        self._seen = None  # while it is not known what becomes of it
        if current is None:
            current, fresh = (await self._storage.get(KEY)).stored, True
        for _ in range(SWAPS_MAX):
            before = decoded(current)
            after = _decided(batch, before)
            if after == before and not fresh:  # nothing to do, or a refusal: of what another server changed?
                current, fresh = (await self._storage.get(KEY)).stored, True
                continue
            if after != before:
                value = encoded(after)
                if current is None:
                    outcome = await self._storage.create(KEY, value)
                else:
                    outcome = await self._storage.update(KEY, value, current.revision)
                if not outcome.done:
                    current, fresh = outcome.current, True
                    continue
                current = Stored(KEY, value, outcome.revision)
            self._seen = current
            for ask in batch:
                ask.done = True
            return
        raise errors.internal("the allocation of node ports was changed too often by others")


def _decided(batch: Sequence[_Ask[object]], bits: int) -> int:
    for ask in batch:
        ask.error = None
        try:
            bits, ask.answer = ask.decide(bits)
        except ApiError as error:
            ask.error = error
    return bits


def decoded(stored: Stored | None) -> int:
    data = orjson.loads(stored.value).get("data") if stored is not None else ""
    return int.from_bytes(b64decode(data or ""), "big")


def encoded(bits: int) -> bytes:
    data = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
    return orjson.dumps(
        {
            "kind": "RangeAllocation",
            "apiVersion": "v1",
            "metadata": {},
            "range": f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}",
            "data": b64encode(data).decode(),
        }
    )
