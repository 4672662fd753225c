"""The watch cache over a store in memory: no gap, no waiting, no forgotten past passed off as the present."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from services.api import errors
from services.apiserver.storage import watch_cache, watchers
from services.apiserver.storage.causes import CauseLedger
from services.apiserver.storage.entries import Attributes, Selection
from services.apiserver.storage.memory import MemoryStorage
from services.apiserver.storage.storage import Batch, Change
from services.apiserver.storage.watch_cache import WatchCache
from services.apiserver.storage.watchers import Watcher
from services.machinery import fields, labels
from services.process.logging import get_logger
from tests.support.clock import ManualClock, settle

PREFIX = "/registry/pods/"


def describe(value: bytes) -> Attributes:
    obj = orjson.loads(value)
    name, node = obj["name"], obj.get("node", "")
    shown = {"metadata.name": name, "metadata.namespace": "default", "spec.nodeName": node}
    return Attributes("default", name, name, obj.get("labels", {}), shown)


class World:
    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.causes = CauseLedger()
        self.cache = WatchCache(
            PREFIX, self.storage, describe, self.causes, ManualClock(), get_logger("test")
        )

    async def write(self, name: str, **rest: Any) -> int:
        key, value = f"{PREFIX}default/{name}", orjson.dumps({"name": name, **rest})
        current = (await self.storage.get(key)).stored
        if current is None:
            return (await self.storage.create(key, value)).revision
        return (await self.storage.update(key, value, current.revision)).revision

    async def remove(self, name: str) -> int:
        key = f"{PREFIX}default/{name}"
        current = (await self.storage.get(key)).stored
        assert current is not None
        return (await self.storage.delete(key, current.revision)).revision


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    task = asyncio.create_task(made.cache.run())
    await made.cache.ready.wait()
    await settle()
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def seen(watcher: Watcher) -> list[str]:
    await settle()
    shown = []
    for delivery in await watcher.next():
        name = delivery.entry.attributes.name if delivery.entry else str(delivery.event.revision)
        shown.append(f"{delivery.type} {name}")
    return shown


async def test_replay_joins_live_without_a_gap(world: World) -> None:
    first = await world.write("a")
    await world.write("b")
    await settle()
    watcher = world.cache.watch(Selection(), first)
    await world.write("c")
    assert await seen(watcher) == ["ADDED b", "ADDED c"]


async def test_writes_of_one_revision_are_all_told_and_all_replayed(world: World) -> None:
    live = world.cache.watch(Selection(), world.cache.revision)
    keys = [f"{PREFIX}default/{name}" for name in "abc"]
    changes = [Change(key, orjson.dumps({"name": key[-1]}), 7) for key in keys]
    world.cache._apply(Batch(changes, 7))
    assert await seen(live) == ["ADDED a", "ADDED b", "ADDED c"]
    assert await seen(world.cache.watch(Selection(), 6)) == ["ADDED a", "ADDED b", "ADDED c"]
    resumed = world.cache.watch(Selection(), 7)
    world.cache._apply(Batch([Change(keys[0], orjson.dumps({"name": "a", "x": 1}), 8)], 8))
    assert await seen(resumed) == ["MODIFIED a"]


async def test_a_watch_may_begin_with_what_exists(world: World) -> None:
    await world.write("b")
    await world.write("a")
    await settle()
    watcher = world.cache.watch(Selection(), None)
    await world.remove("a")
    assert await seen(watcher) == ["ADDED a", "ADDED b", "DELETED a"]


async def test_a_change_of_what_is_selected_looks_like_coming_and_going(world: World) -> None:
    selection = Selection("default", labels.parse("app=x"))
    watcher = world.cache.watch(selection, world.cache.revision)
    await world.write("a", labels={"app": "y"})
    await world.write("a", labels={"app": "x"})
    await world.write("a", labels={"app": "x", "more": "1"})
    await world.write("a", labels={"app": "z"})
    assert await seen(watcher) == ["ADDED a", "MODIFIED a", "DELETED a"]


async def test_kubelets_hear_only_of_their_own_pods(world: World) -> None:
    here = world.cache.watch(Selection("", labels.EVERYTHING, fields.parse("spec.nodeName=n1")), 1)
    there = world.cache.watch(Selection("", labels.EVERYTHING, fields.parse("spec.nodeName=n2")), 1)
    await world.write("a")
    await world.write("a", node="n1")
    await world.write("b", node="n2")
    assert await seen(here) == ["ADDED a"]
    assert await seen(there) == ["ADDED b"]
    selected = world.cache.select(Selection("", labels.EVERYTHING, fields.parse("spec.nodeName=n1")))
    assert [entry.attributes.name for entry in selected] == ["a"]


async def test_what_the_ring_has_forgotten_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_cache, "RING_EVENTS_MAX", 4)
    small = WatchCache(PREFIX, world.storage, describe, world.causes, ManualClock(), get_logger("test"))
    small._ring = type(small._ring)(maxlen=4)
    task = asyncio.create_task(small.run())
    await settle()
    first = await world.write("a")
    for _ in range(8):
        last = await world.write("a", n=str(_))
    await settle()
    with pytest.raises(errors.ApiError) as refusal:
        small.watch(Selection(), first)
    assert errors.is_expired(refusal.value)
    assert small.watch(Selection(), last - 1) is not None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_watcher_that_does_not_keep_up_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "BACKLOG_EVENTS_MAX", 3)
    slow, quick = world.cache.watch(Selection(), 1), world.cache.watch(Selection(), 1)
    for number in range(6):
        await world.write(f"p-{number}")
        assert await seen(quick) == [f"ADDED p-{number}"]
    with pytest.raises(errors.ApiError) as refusal:
        await slow.next()
    assert errors.is_expired(refusal.value)


async def test_bookmarks_tell_how_far_a_quiet_kind_is(world: World) -> None:
    watcher = world.cache.watch(Selection(), world.cache.revision, bookmarks=True)
    deaf = world.cache.watch(Selection(), world.cache.revision)
    made = await world.storage.create("/registry/nodes/n", b"{}")
    world.storage.ask_progress()
    await settle()
    world.cache.bookmark()
    assert await seen(watcher) == [f"BOOKMARK {made.revision}"]
    assert not deaf._backlog


async def test_waits_until_it_is_as_new_as_asked(world: World) -> None:
    await world.storage.create("/registry/nodes/n", b"{}")
    await world.cache.catch_up()
    assert world.cache.revision == await world.storage.revision()


async def test_an_event_carries_the_cause_of_its_write(world: World) -> None:
    watcher = world.cache.watch(Selection(), 1)
    world.causes.note(f"{PREFIX}default/a", orjson.dumps({"name": "a"}), "00-cause")
    await world.write("a")
    await world.write("b")
    await settle()
    assert [delivery.event.cause for delivery in await watcher.next()] == ["00-cause", ""]


async def test_a_closed_cache_hands_out_what_has_gathered_and_then_the_end(world: World) -> None:
    before = world.cache.watch(Selection(), world.cache.revision)
    await world.write("a")
    await settle()
    world.cache.close()
    late = world.cache.watch(Selection(), None)
    for watcher in (before, late):
        assert await seen(watcher) == ["ADDED a"]
        with pytest.raises(watchers.WatchOver):
            await watcher.next()


async def test_starts_over_when_the_store_has_forgotten_its_place() -> None:
    world = World()
    await world.write("a")
    task = asyncio.create_task(world.cache.run())
    await settle()
    watcher = world.cache.watch(Selection(), world.cache.revision)
    world.cache._restart(await world.storage.list(PREFIX))
    with pytest.raises(errors.ApiError) as refusal:
        await watcher.next()
    assert errors.is_expired(refusal.value)
    assert len(world.cache.watchers) == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_where_a_watcher_begins_may_be_more_than_it_may_lag_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "BACKLOG_EVENTS_MAX", 2)
    for name in "abcd":
        await world.write(name)
    await settle()
    watcher = world.cache.watch(Selection(), None)
    await world.write("e")
    assert await seen(watcher) == ["ADDED a", "ADDED b", "ADDED c", "ADDED d", "ADDED e"]


async def test_nothing_is_kept_of_who_waited_in_vain() -> None:
    clock, storage = ManualClock(), MemoryStorage()
    cache = WatchCache(PREFIX, storage, describe, CauseLedger(), clock, get_logger("test"))
    running = asyncio.create_task(cache.run())
    await cache.ready.wait()
    waiting = asyncio.create_task(cache.wait_for(2**63 - 1))
    await clock.advance(watch_cache.FRESH_SECONDS + 1)
    with pytest.raises(TimeoutError):
        await waiting
    assert not cache._waiting
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
