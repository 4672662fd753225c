"""Definitions and what they define, on a real etcd: served at once, in every version, until they go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from services.api import errors
from services.apiserver.registry.request import ListOptions, Target, WatchOptions, WriteOptions
from services.apiserver.server import ApiServer
from services.apiserver.storage.watchers import WatchOver
from tests.support.apiserver import apiserver_here
from tests.support.custom import GROUP, SCHEMA, Custom, condition, definition, until, version, widget
from tests.support.etcd import Etcd
from tests.support.strands import in_turns, strand_threads

Json = dict[str, Any]
NAME = f"widgets.{GROUP}"


@pytest.fixture
async def server(etcd: Etcd) -> AsyncIterator[ApiServer]:
    async with apiserver_here(etcd) as (server, _):
        yield server


@pytest.fixture
def custom(server: ApiServer) -> Custom:
    return Custom(server.registry)


async def test_is_served_once_established(custom: Custom) -> None:
    with pytest.raises(errors.ApiError):
        custom.resource()
    made = await custom.define(definition())
    assert made["status"]["acceptedNames"]["listKind"] == "WidgetList"
    assert condition(made, "NamesAccepted")["reason"] == "NoConflicts"
    assert made["status"]["storedVersions"] == ["v1"]
    first = await custom.create(widget("a", color="red"))
    assert first["spec"] == {"color": "red", "size": 1}
    assert first["metadata"]["generation"] == 1


async def test_the_status_is_written_apart(custom: Custom) -> None:
    await custom.define(definition())
    await custom.create({**widget("a"), "status": {"ready": True}})
    assert "status" not in await custom.get("a")
    changed = await custom.merge("a", {"status": {"ready": True}, "spec": {"size": 5}}, part="status")
    assert (changed["spec"]["size"], changed["status"], changed["metadata"]["generation"]) == (
        1,
        {"ready": True},
        1,
    )
    kept = await custom.merge("a", {"status": {"ready": False}, "spec": {"size": 5}})
    assert (kept["status"], kept["metadata"]["generation"]) == ({"ready": True}, 2)


async def test_a_scale_reads_and_writes_where_the_definition_says(custom: Custom) -> None:
    paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    parts = {"status": {}, "scale": paths}
    await custom.define(definition("widgets", "Widget", version("v1", storage=True, subresources=parts)))
    await custom.create(widget("a"))
    with pytest.raises(errors.ApiError, match=r'the spec replicas field ".spec.replicas" does not exist'):
        await custom.registry.get(custom.target("a", part="scale"))
    scaled = await custom.merge("a", {"spec": {"replicas": 3}}, part="scale")
    assert (scaled["kind"], scaled["spec"], scaled["status"]) == ("Scale", {"replicas": 3}, {"replicas": 0})
    assert (await custom.get("a"))["spec"]["replicas"] == 3


async def test_versions_show_one_object(custom: Custom, server: ApiServer) -> None:
    await custom.define(definition("widgets", "Widget", version("v1beta1"), version("v1", storage=True)))
    await custom.create(widget("a", "v1beta1", color="red"))
    first, second = await custom.get("a", "v1"), await custom.get("a", "v1beta1")
    assert (first["apiVersion"], second["apiVersion"]) == ("example.com/v1", "example.com/v1beta1")
    assert first["metadata"] == second["metadata"]
    assert first["metadata"]["managedFields"][0]["apiVersion"] == "example.com/v1beta1"
    stored = await server.storage.get(f"/registry/{GROUP}/widgets/default/a")
    assert stored.stored is not None
    assert orjson.loads(stored.stored.value)["apiVersion"] == "example.com/v1"
    assert [each["apiVersion"] for each in await custom.list("v1beta1")] == ["example.com/v1beta1"]
    # A page at a given revision comes from etcd.
    at = str(stored.stored.revision)
    page = await custom.list("v1beta1", limit=1, resource_version=at)
    assert [each["apiVersion"] for each in page] == ["example.com/v1beta1"]


async def test_an_event_is_converted_once_for_all_who_watch_a_version(custom: Custom) -> None:
    await custom.define(definition("widgets", "Widget", version("v1beta1"), version("v1", storage=True)))
    target = Target(custom.resource("v1beta1"), "default")
    watchers = [await custom.registry.watch(target, WatchOptions()) for _ in range(2)]
    await custom.create(widget("a"))
    seen = [await asyncio.wait_for(each.next(), 60) for each in watchers]
    shown = [delivery.event for deliveries in seen for delivery in deliveries]
    assert shown[0] is shown[1]
    assert shown[0].entry is not None
    assert orjson.loads(shown[0].entry.value)["apiVersion"] == "example.com/v1beta1"
    for each in watchers:
        custom.registry.leave(target, each)


async def test_selectable_fields_find_objects(custom: Custom) -> None:
    own = version("v1", storage=True, selectableFields=[{"jsonPath": ".spec.color"}])
    await custom.define(definition("widgets", "Widget", own))
    for name, color in (("a", "red"), ("b", "blue")):
        await custom.create(widget(name, color=color))
    found = await custom.list(fields="spec.color=blue")
    assert [each["metadata"]["name"] for each in found] == ["b"]
    with pytest.raises(errors.ApiError, match=r"field label not supported: spec\.size"):
        await custom.list(fields="spec.size=1")


async def test_a_changed_schema_counts_at_once(custom: Custom) -> None:
    await custom.define(definition())
    await custom.create(widget("a"))
    target = Target(custom.resource(), "default")
    watcher = await custom.registry.watch(target, WatchOptions())
    properties = {**SCHEMA["properties"]["spec"]["properties"], "shape": {"type": "string", "default": "x"}}
    schema = {
        **SCHEMA,
        "properties": {**SCHEMA["properties"], "spec": {"type": "object", "properties": properties}},
    }
    changed = definition("widgets", "Widget", version("v1", storage=True, schema=schema), version("v2"))
    await custom.redefine(changed)
    # What was stored before is shown with the new defaults, and the watch begins anew.
    assert (await custom.get("a"))["spec"]["shape"] == "x"
    assert (await custom.get("a", "v2"))["apiVersion"] == "example.com/v2"
    await to_the_end(watcher)


async def test_a_version_served_no_longer_is_unknown(custom: Custom) -> None:
    await custom.define(definition("widgets", "Widget", version("v1", storage=True), version("v2")))
    dropped = {**version("v2"), "served": False}
    await custom.redefine(definition("widgets", "Widget", version("v1", storage=True), dropped))
    with pytest.raises(errors.ApiError):
        custom.resource("v2")


async def test_a_kind_may_bear_the_name_of_a_built_in_one(custom: Custom, server: ApiServer) -> None:
    for plural, kind in (("pods", "Pod"), ("events", "Event"), ("namespaces", "Namespace")):
        await custom.define(definition(plural, kind))
        obj = {**widget("a", size=2), "kind": kind}
        target = Target(custom.resource(plural=plural), "default")
        made = orjson.loads(
            (await custom.registry.create(target, orjson.dumps(obj), WriteOptions())).item.value
        )
        assert made["spec"] == {"size": 2}
        stored = await server.storage.get(f"/registry/{GROUP}/{plural}/default/a")
        assert stored.stored is not None
        gone = await custom.registry.delete(Target(target.resource, "default", "a"), b"")
        assert (gone.gone, orjson.loads(gone.item.value)["kind"]) == (True, "Status")


async def test_names_go_to_who_came_first(custom: Custom) -> None:
    await custom.define(definition())
    other = definition("gadgets", "Widget")
    await custom.registry.create(Target(custom.definitions), orjson.dumps(other), WriteOptions())
    name = f"gadgets.{GROUP}"

    async def is_judged() -> bool:
        return bool(condition(await custom.definition(name), "NamesAccepted"))

    await until(is_judged)
    judged = await custom.definition(name)
    assert condition(judged, "NamesAccepted")["message"] == '"WidgetList" is already in use'
    assert condition(judged, "Established")["reason"] == "NotAccepted"
    with pytest.raises(errors.ApiError):
        custom.resource(plural="gadgets")
    await custom.undefine(NAME)
    assert (await custom.established(name))["status"]["acceptedNames"]["kind"] == "Widget"


async def test_a_definition_takes_its_objects_along_and_ends_watches(custom: Custom) -> None:
    await custom.define(definition())
    await custom.create(widget("a"))
    await custom.create({**widget("held"), "metadata": {**_meta("held"), "finalizers": ["example.com/x"]}})
    target = Target(custom.resource(), "default")
    watcher = await custom.registry.watch(target, WatchOptions())
    await custom.undefine(NAME)

    async def waits() -> bool:
        found = condition(await custom.definition(NAME), "Terminating")
        return found.get("reason") == "InstanceDeletionInProgress"

    await until(waits)
    with pytest.raises(errors.ApiError, match="create not allowed while custom resource definition is term"):
        await custom.create(widget("b"))
    await custom.merge("held", {"metadata": {"finalizers": None}})
    await until(lambda: custom.is_gone(NAME))
    seen = await to_the_end(watcher)
    assert {name for kind, name in seen if kind == "DELETED"} == {"a", "held"}

    async def is_unknown() -> bool:
        return custom.registry.catalog.named(GROUP, "v1", "widgets") is None

    await until(is_unknown)


async def test_a_definition_that_was_never_served_just_goes(custom: Custom) -> None:
    await custom.define(definition())
    body = definition("gadgets", "Widget")
    await custom.registry.create(Target(custom.definitions), orjson.dumps(body), WriteOptions())
    await custom.undefine(f"gadgets.{GROUP}")
    await until(lambda: custom.is_gone(f"gadgets.{GROUP}"))


async def test_served_again_after_a_restart(etcd: Etcd) -> None:
    async with apiserver_here(etcd) as (server, _):
        custom = Custom(server.registry)
        await custom.define(definition())
        await custom.create(widget("a"))
    async with apiserver_here(etcd) as (server, _):
        # Whoever asks the moment it says that it serves is answered.
        assert (await Custom(server.registry).get("a"))["spec"] == {"size": 1}


async def test_a_restart_in_the_middle_of_a_deletion(etcd: Etcd) -> None:
    async with apiserver_here(etcd) as (server, _):
        custom = Custom(server.registry)
        await custom.define(definition())
        await custom.create({**widget("a"), "metadata": {**_meta("a"), "finalizers": ["example.com/x"]}})
        await custom.undefine(NAME)
    async with apiserver_here(etcd) as (server, _):
        custom = Custom(server.registry)
        await custom.merge("a", {"metadata": {"finalizers": None}})
        await until(lambda: custom.is_gone(NAME))


async def test_two_servers_serve_the_same(etcd: Etcd) -> None:
    async with apiserver_here(etcd) as (first, _), apiserver_here(etcd) as (second, _):
        one, two = Custom(first.registry), Custom(second.registry)
        await one.define(definition())
        await two.established(NAME)

        async def knows() -> bool:
            return second.registry.catalog.named(GROUP, "v1", "widgets") is not None

        await until(knows)
        await two.create(widget("a"))
        assert (await one.get("a"))["spec"] == {"size": 1}
        await two.undefine(NAME)
        await until(lambda: one.is_gone(NAME))


async def test_outlives_a_restart_of_etcd(etcd: Etcd, custom: Custom) -> None:
    await custom.define(definition())
    target = Target(custom.resource(), "default")
    watcher = await custom.registry.watch(target, WatchOptions())
    await custom.create(widget("a"))
    etcd.stop(kill=True)
    etcd.start()

    async def is_written() -> bool:
        try:
            await custom.create(widget("b"))
        except errors.ApiError as error:
            return errors.is_already_exists(error)
        return True

    await until(is_written)
    seen: list[str] = []
    async with asyncio.timeout(60):
        while "b" not in seen:
            seen += [_name(each) for each in await watcher.next()]
    assert seen[0] == "a"


async def test_others_are_answered_while_an_expensive_rule_is_judged(custom: Custom) -> None:
    numbers = {
        "type": "array",
        "maxItems": 1000,
        "items": {"type": "integer"},
        "x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, x + y >= 0))"}],
    }
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"numbers": numbers}}},
    }
    await custom.define(definition("widgets", "Widget", version("v1", storage=True, schema=schema)))
    await custom.create(widget("small", numbers=[1, 2]))

    judged = asyncio.ensure_future(custom.create(widget("a", numbers=list(range(1000)))))
    await in_turns(judged)
    # Out of the cache: the answer needs turns of the loop, and no more of the machine than that.
    answered = asyncio.ensure_future(custom.registry.list(custom.target(), ListOptions(resource_version="0")))
    await asyncio.wait([answered, judged], return_when=asyncio.FIRST_COMPLETED)
    assert answered.done()
    assert not judged.done()
    with pytest.raises(errors.ApiError, match="call cost exceeds limit for rule"):
        await judged

    forgotten = asyncio.ensure_future(custom.create(widget("b", numbers=list(range(1000)))))
    await in_turns(forgotten)
    forgotten.cancel()
    with pytest.raises(asyncio.CancelledError):
        await forgotten
    assert not strand_threads()


async def to_the_end(watcher: Any) -> list[tuple[str, str]]:
    """What a watch tells until it is over."""
    seen: list[tuple[str, str]] = []
    async with asyncio.timeout(60):
        while True:
            try:
                seen += [(each.type, _name(each)) for each in await watcher.next()]
            except WatchOver:
                return seen


def _meta(name: str) -> Json:
    return {"name": name, "namespace": "default"}


def _name(delivery: Any) -> str:
    return str(delivery.entry.attributes.name)


async def test_a_definition_that_nobody_checked_does_no_harm(etcd: Etcd) -> None:
    async with apiserver_here(etcd) as (server, _):
        header = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
        broken = {
            **header,
            "metadata": {"name": "x.example.com", "uid": "u"},
            "spec": {"group": "example.com"},
        }
        key = "/registry/apiextensions.k8s.io/customresourcedefinitions/x.example.com"
        await server.storage.create(key, orjson.dumps(broken))
        deep: Json = {"type": "string"}
        for _ in range(240):
            deep = {"type": "array", "items": deep}
        nested = definition("deep", "Deep", version("v1", storage=True, schema=deep))
        nested["metadata"]["uid"] = "v"
        key = key.replace("x.example", "deep.example")
        await server.storage.create(key, orjson.dumps({**nested, "status": {"storedVersions": ["v1"]}}))
        custom = Custom(server.registry)
        await custom.define(definition())
    async with apiserver_here(etcd) as (server, _):
        await Custom(server.registry).create(widget("a"))
