"""What every `Storage` must do: the same suite for etcd and for the store in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from services.apiserver.storage.etcd import EtcdStorage
from services.apiserver.storage.memory import MemoryStorage
from services.apiserver.storage.storage import Batch, Change, Compacted, Storage
from services.process.clock import SystemClock
from services.process.logging import get_logger
from tests.support.etcd import Etcd

PATIENCE_SECONDS = 60.0
_prefixes = itertools.count()


@pytest.fixture
def prefix() -> str:
    return f"/contract-{next(_prefixes)}/"


@pytest.fixture(params=["memory", "etcd"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    member: Etcd = request.getfixturevalue("shared_etcd")
    store = EtcdStorage(member.endpoint, SystemClock(), get_logger("test"))
    stream = asyncio.create_task(store.run())
    yield store
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)
    await store.close()


async def collect(batches: AsyncIterator[Batch], count: int) -> list[Change]:
    changes: list[Change] = []
    async for batch in batches:
        changes += batch.changes
        if len(changes) >= count:
            break
    return changes


async def first_of(batches: AsyncIterator[Batch]) -> Batch:
    return await anext(batches)


async def test_creates_where_nothing_was(storage: Storage, prefix: str) -> None:
    made = await storage.create(prefix + "a", b"1")
    assert made.done
    reading = await storage.get(prefix + "a")
    assert reading.stored == (prefix + "a", b"1", made.revision)
    again = await storage.create(prefix + "a", b"2")
    assert not again.done
    assert again.current == reading.stored


async def test_updates_only_the_revision_it_was_told(storage: Storage, prefix: str) -> None:
    made = await storage.create(prefix + "a", b"1")
    changed = await storage.update(prefix + "a", b"2", made.revision)
    assert changed.done
    assert changed.revision > made.revision
    stale = await storage.update(prefix + "a", b"3", made.revision)
    assert not stale.done
    assert stale.current is not None
    assert stale.current.value == b"2"
    absent = await storage.update(prefix + "b", b"1", made.revision)
    assert (absent.done, absent.current) == (False, None)


async def test_deletes_only_the_revision_it_was_told(storage: Storage, prefix: str) -> None:
    made = await storage.create(prefix + "a", b"1")
    changed = await storage.update(prefix + "a", b"2", made.revision)
    assert not (await storage.delete(prefix + "a", made.revision)).done
    assert (await storage.delete(prefix + "a", changed.revision)).done
    assert (await storage.get(prefix + "a")).stored is None


async def test_writes_of_one_moment_are_judged_one_by_one(storage: Storage, prefix: str) -> None:
    taken = await storage.create(prefix + "taken", b"0")
    outcomes = await asyncio.gather(
        storage.create(prefix + "a", b"1"),
        storage.create(prefix + "taken", b"2"),
        storage.update(prefix + "taken", b"3", taken.revision),
        storage.update(prefix + "absent", b"4", taken.revision),
        storage.delete(prefix + "a", taken.revision),
        storage.create(prefix + "big", b"5" * 700_000),
        *(storage.create(f"{prefix}many-{number:03}", b"6") for number in range(250)),
    )
    made, clash, changed, absent, stale, *rest = outcomes
    assert (made.done, clash.done, changed.done, absent.done, stale.done) == (True, False, True, False, False)
    assert clash.current is not None
    assert (absent.current, all(outcome.done for outcome in rest)) == (None, True)
    page = await storage.list(prefix)
    assert [item.key for item in page.items] == sorted(item.key for item in page.items)
    present = {item.key.removeprefix(prefix): item for item in page.items}
    assert len(present) == 253
    assert (present["taken"].value, present["taken"].revision) == (b"3", changed.revision)
    assert [present[f"many-{n:03}"].revision for n in range(250)] == [o.revision for o in rest[1:]]


async def test_what_is_written_together_is_told_together(storage: Storage, prefix: str) -> None:
    before = await storage.revision()
    async with aclosing(storage.watch(prefix, before)) as batches:  # type: ignore[type-var]
        reader = asyncio.create_task(batches_with(batches, 300))
        await asyncio.gather(*(storage.create(f"{prefix}{number}", b"1") for number in range(300)))
        seen = await asyncio.wait_for(reader, PATIENCE_SECONDS)
    revisions = [{change.revision for change in batch.changes} for batch in seen]
    assert len(set().union(*revisions)) == sum(len(each) for each in revisions)


async def batches_with(batches: AsyncIterator[Batch], count: int) -> list[Batch]:
    seen: list[Batch] = []
    async for batch in batches:
        seen.append(batch)
        if sum(len(each.changes) for each in seen) >= count:
            break
    return seen


async def test_lists_in_order_in_pages_and_in_the_past(storage: Storage, prefix: str) -> None:
    for name in ("c", "a", "b"):
        last = await storage.create(prefix + name, name.encode())
    await storage.create(prefix + "d", b"d")
    now = await storage.list(prefix)
    assert [item.value for item in now.items] == [b"a", b"b", b"c", b"d"]
    page = await storage.list(prefix, limit=2)
    assert ([item.value for item in page.items], page.remaining) == ([b"a", b"b"], 2)
    rest = await storage.list(prefix, start=prefix + "b\0", limit=2)
    assert [item.value for item in rest.items] == [b"c", b"d"]
    past = await storage.list(prefix, revision=last.revision)
    assert [item.value for item in past.items] == [b"a", b"b", b"c"]


async def test_watch_tells_every_change_after_a_revision(storage: Storage, prefix: str) -> None:
    before = await storage.create(prefix + "a", b"1")
    second = await storage.update(prefix + "a", b"2", before.revision)
    async with aclosing(storage.watch(prefix, before.revision)) as batches:  # type: ignore[type-var]
        first = asyncio.create_task(collect(batches, 3))
        await storage.create(prefix + "b", b"1")
        await storage.create("/elsewhere" + prefix, b"1")
        await storage.delete(prefix + "a", second.revision)
        changes = await asyncio.wait_for(first, PATIENCE_SECONDS)
    assert [(change.key[len(prefix) :], change.value) for change in changes] == [
        ("a", b"2"),
        ("b", b"1"),
        ("a", None),
    ]
    assert [change.revision for change in changes] == sorted(change.revision for change in changes)


async def test_progress_says_how_far_a_quiet_prefix_is(storage: Storage, prefix: str) -> None:
    start = await storage.revision()
    made = await storage.create("/elsewhere" + prefix, b"1")
    async with aclosing(storage.watch(prefix, start)) as batches:  # type: ignore[type-var]
        waiting: asyncio.Task[Batch] = asyncio.create_task(first_of(batches))
        while not waiting.done():
            storage.ask_progress()
            await asyncio.wait({waiting}, timeout=0.05)
        assert waiting.result().changes == []
        assert waiting.result().revision >= made.revision


async def test_a_forgotten_past_is_refused(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    last = await storage.update(prefix + "a", b"2", first.revision)
    compacting = storage.compact(last.revision)  # type: ignore[attr-defined]
    if compacting is not None:
        await compacting
    with pytest.raises(Compacted):
        await storage.list(prefix, revision=first.revision)
    async with aclosing(storage.watch(prefix, first.revision - 1)) as batches:  # type: ignore[type-var]
        with pytest.raises(Compacted):
            await asyncio.wait_for(collect(batches, 1), PATIENCE_SECONDS)
