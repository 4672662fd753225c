"""What the client machinery may rely on, held to the real API server and to its stand-in alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from services.api.apps_v1 import ReplicaSet, ReplicaSetSpec
from services.api.core_v1 import (
    ConfigMap,
    Container,
    Namespace,
    Pod,
    PodSpec,
    PodTemplateSpec,
    ServiceAccount,
)
from services.api.errors import ApiError, is_already_exists, is_conflict, is_not_found
from services.api.kinds import resource_of
from services.api.meta_v1 import LabelSelector, ObjectMeta
from services.client.client import Client, WatchEvent, connect
from services.client.raw import RawClient
from services.client.transport import PatchType
from services.machinery import trace
from tests.support.apiserver import apiserver_process
from tests.support.etcd import Etcd
from tests.support.fake_api import FakeApi

SECONDS = 60
CAUSE = "00-" + "c" * 32 + "-" + "d" * 16 + "-01"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("contract")
    member = Etcd(folder / "etcd", "--unsafe-no-fsync")
    member.start()
    try:
        with apiserver_process(member, folder / "apiserver.log") as served:
            yield served
    finally:
        member.stop()


@pytest.fixture(params=["memory", "server"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """Each test has a namespace of its own."""
    space = request.node.name.partition("[")[0].replace("_", "-")[:60].rstrip("-")
    if request.param == "memory":
        made = Client(FakeApi())
        await _prepare(made, space)
        yield made
        return
    async with connect(request.getfixturevalue("address"), user_agent="contract/1") as made:
        await _prepare(made, space)
        yield made


async def _prepare(client: Client, space: str) -> None:
    await client.create(Namespace(metadata=ObjectMeta(name=space)))
    await client.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace=space)))


@pytest.fixture
def space(request: pytest.FixtureRequest) -> str:
    name: str = request.node.name.partition("[")[0].replace("_", "-")[:60].rstrip("-")
    return name


def config_map(space: str, name: str = "c", **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=space, labels={"app": name}), data=data)


def pod(space: str, name: str = "p") -> Pod:
    spec = PodSpec(containers=[Container(name="c", image="app:1")], termination_grace_period_seconds=30)
    return Pod(metadata=ObjectMeta(name=name, namespace=space, labels={"app": name}), spec=spec)


async def events(
    client: Client, kind: type[ConfigMap], space: str, version: str, count: int
) -> list[WatchEvent[ConfigMap]]:
    found: list[WatchEvent[ConfigMap]] = []
    async with (
        asyncio.timeout(SECONDS),
        aclosing(client.watch(kind, space, resource_version=version)) as stream,
    ):
        async for batch in stream:
            found += [event for event in batch if event.type != "BOOKMARK"]
            if len(found) >= count:
                break
    return found


async def test_create_read_and_delete(client: Client, space: str) -> None:
    made = await client.create(config_map(space, a="1"))
    assert made.metadata.uid
    assert made.metadata.resource_version
    assert made.metadata.creation_timestamp
    assert await client.get(ConfigMap, "c", space) == made
    with pytest.raises(ApiError) as refused:
        await client.create(config_map(space))
    assert is_already_exists(refused.value)
    await client.delete(ConfigMap, "c", space)
    for attempt in (client.get(ConfigMap, "c", space), client.delete(ConfigMap, "c", space)):
        with pytest.raises(ApiError) as gone:
            await attempt
        assert is_not_found(gone.value)
        assert gone.value.message == 'configmaps "c" not found'


async def test_writes_of_one_moment_are_answered_one_by_one(client: Client, space: str) -> None:
    """However they travel: a refused one is refused alone, and each keeps its cause."""
    first = await client.create(config_map(space, "taken", a="1"))
    await client.create(config_map(space, "old"))
    version = first.metadata.resource_version or ""
    causes = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 41)]

    async def create(name: str, cause: str) -> ConfigMap:
        with trace.scope(cause):
            return await client.create(config_map(space, name))

    made, *others = await asyncio.gather(
        asyncio.gather(*(create(f"c-{n}", cause) for n, cause in enumerate(causes))),
        client.create(config_map(space, "taken")),
        client.create(config_map(space, "Bad_Name")),
        client.patch(ConfigMap, "taken", space, {"data": {"a": "2"}}),
        client.patch(ConfigMap, "absent", space, {"data": {"a": "2"}}),
        client.delete(ConfigMap, "old", space),
        return_exceptions=True,
    )
    taken, bad, changed, absent, deleted = others
    assert isinstance(made, list)
    assert [each.metadata.name for each in made] == [f"c-{number}" for number in range(40)]
    assert isinstance(taken, ApiError)
    assert is_already_exists(taken)
    assert isinstance(absent, ApiError)
    assert is_not_found(absent)
    assert isinstance(bad, ApiError | ConfigMap)  # the stand-in judges no names
    assert isinstance(changed, ConfigMap)
    assert changed.data == {"a": "2"}
    assert deleted is None
    present = {each.metadata.name: each for each in await client.list(ConfigMap, space)}
    assert "old" not in present
    assert [present[each.metadata.name] for each in made] == made
    seen = await events(client, ConfigMap, space, version, 42)
    told = {
        event.object.metadata.name: event.cause for event in seen if event.object and event.type == "ADDED"
    }
    assert [told[f"c-{number}"] for number in range(40)] == causes


async def test_generated_names_differ(client: Client, space: str) -> None:
    wanted = ConfigMap(metadata=ObjectMeta(generate_name="kubia-", namespace=space))
    names = {(await client.create(wanted)).key.name for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("kubia-") and len(name) == 11 for name in names)


async def test_a_stale_update_is_a_conflict(client: Client, space: str) -> None:
    from msgspec.structs import replace

    old = await client.create(config_map(space, a="1"))
    new = await client.update(replace(old, data={"a": "2"}))
    assert new.metadata.resource_version != old.metadata.resource_version
    with pytest.raises(ApiError) as refused:
        await client.update(replace(old, data={"a": "3"}))
    assert is_conflict(refused.value)
    same = await client.update(new)
    assert same.metadata.resource_version == new.metadata.resource_version


async def test_patches(client: Client, space: str) -> None:
    await client.create(config_map(space, a="1", b="2"))
    merged = await client.patch(ConfigMap, "c", space, {"data": {"a": None, "c": "3"}})
    assert merged.data == {"b": "2", "c": "3"}
    operations = [{"op": "test", "path": "/data/b", "value": "2"}, {"op": "remove", "path": "/data/c"}]
    patched = await client.patch(ConfigMap, "c", space, operations, patch_type=PatchType.JSON)
    assert patched.data == {"b": "2"}
    with pytest.raises(ApiError) as refused:
        await client.patch(ConfigMap, "c", space, operations, patch_type=PatchType.JSON)
    assert refused.value.code == 422
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}
    added = await client.patch(
        ConfigMap, "c", space, {"metadata": {"ownerReferences": [owner]}}, patch_type=PatchType.STRATEGIC
    )
    assert [reference.uid for reference in added.metadata.owner_references] == ["u"]
    doomed = {"$patch": "delete", "uid": "u"}
    freed = await client.patch(
        ConfigMap, "c", space, {"metadata": {"ownerReferences": [doomed]}}, patch_type=PatchType.STRATEGIC
    )
    assert freed.metadata.owner_references == []


async def test_a_patch_of_another_uid_is_a_conflict(client: Client, space: str) -> None:
    await client.create(config_map(space))
    with pytest.raises(ApiError) as refused:
        await client.patch(
            ConfigMap, "c", space, {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}}
        )
    assert is_conflict(refused.value)


async def test_status_and_spec_are_written_apart(client: Client, space: str) -> None:
    template = PodTemplateSpec(metadata=ObjectMeta(labels={"a": "b"}), spec=pod(space).spec)
    spec = ReplicaSetSpec(replicas=2, selector=LabelSelector(match_labels={"a": "b"}), template=template)
    made = await client.create(ReplicaSet(metadata=ObjectMeta(name="r", namespace=space), spec=spec))
    assert made.metadata.generation == 1
    status = {"status": {"replicas": 1, "observedGeneration": 1}, "spec": {"replicas": 9}}
    told = await client.patch(ReplicaSet, "r", space, status, subresource="status")
    assert (told.status.replicas, told.spec.replicas, told.metadata.generation) == (1, 2, 1)
    scaled = await client.patch(ReplicaSet, "r", space, {"spec": {"replicas": 3}, "status": {"replicas": 7}})
    assert (scaled.status.replicas, scaled.spec.replicas, scaled.metadata.generation) == (1, 3, 2)


async def test_preconditions_of_a_deletion(client: Client, space: str) -> None:
    made = await client.create(config_map(space))
    for wrong in ({"uid": "other"}, {"resource_version": "1"}):
        with pytest.raises(ApiError) as refused:
            await client.delete(ConfigMap, "c", space, **wrong)  # type: ignore[arg-type]
        assert is_conflict(refused.value)
    await client.delete(ConfigMap, "c", space, uid=made.metadata.uid or "")


async def test_finalizers_hold_an_object(client: Client, space: str) -> None:
    held = ConfigMap(metadata=ObjectMeta(name="c", namespace=space, finalizers=["example.com/hold"]))
    await client.create(held)
    await client.delete(ConfigMap, "c", space)
    marked = await client.get(ConfigMap, "c", space)
    assert marked.metadata.deletion_timestamp
    await client.patch(ConfigMap, "c", space, {"metadata": {"finalizers": None}})
    with pytest.raises(ApiError) as gone:
        await client.get(ConfigMap, "c", space)
    assert is_not_found(gone.value)


async def test_a_pod_is_bound_once_and_ends_gracefully(client: Client, space: str) -> None:
    made = await client.create(pod(space))
    assert made.status.phase == "Pending"
    await client.bind(made, "node-1")
    bound = await client.get(Pod, "p", space)
    assert bound.spec.node_name == "node-1"
    assert [(c.type, c.status) for c in bound.status.conditions] == [("PodScheduled", "True")]
    with pytest.raises(ApiError) as refused:
        await client.bind(made, "node-2")
    assert is_conflict(refused.value)
    await client.delete(Pod, "p", space)
    marked = await client.get(Pod, "p", space)
    assert marked.metadata.deletion_timestamp
    assert marked.metadata.deletion_grace_period_seconds == 30
    await client.delete(Pod, "p", space, grace_seconds=0, uid=made.metadata.uid or "")
    with pytest.raises(ApiError) as gone:
        await client.get(Pod, "p", space)
    assert is_not_found(gone.value)


async def test_lists_select_and_page(client: Client, space: str) -> None:
    for number in range(7):
        await client.create(config_map(space, f"c{number}", number=str(number)))
    raw = RawClient(client.transport)
    first = await raw.list_page(resource_of(ConfigMap), space, limit=3)
    assert len(first.items) == 3
    assert first.remaining_item_count is not None
    names, token = [item["metadata"]["name"] for item in first.items], first.continue_token
    while token:
        page = await raw.list_page(resource_of(ConfigMap), space, limit=3, continue_token=token)
        names += [item["metadata"]["name"] for item in page.items]
        token = page.continue_token
    assert [name for name in names if name.startswith("c")] == [f"c{n}" for n in range(7)]
    chosen = await client.list(ConfigMap, space, labels="app in (c1,c2)")
    assert [each.key.name for each in chosen] == ["c1", "c2"]
    exact = await client.list(ConfigMap, space, fields="metadata.name=c4")
    assert [each.key.name for each in exact] == ["c4"]


async def test_a_watch_tells_what_happened_after_its_version(client: Client, space: str) -> None:
    before = await client.create(config_map(space, "before"))
    with trace.scope(CAUSE):
        await client.create(config_map(space, "c", a="1"))
    await client.patch(ConfigMap, "c", space, {"data": {"a": "2"}})
    await client.delete(ConfigMap, "c", space)
    seen = await events(client, ConfigMap, space, before.metadata.resource_version or "", 3)
    assert [event.type for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert seen[0].cause[3:35] == CAUSE[3:35]
    objects = [event.object for event in seen]
    assert [obj.data for obj in objects if obj] == [{"a": "1"}, {"a": "2"}, {"a": "2"}]
    versions = [int(event.resource_version) for event in seen]
    assert versions == sorted(set(versions))
    assert all(
        obj.metadata.resource_version == event.resource_version for obj, event in zip(objects, seen) if obj
    )


async def test_a_watch_without_a_version_begins_with_what_exists(client: Client, space: str) -> None:
    await client.create(config_map(space, "a"))
    await client.create(config_map(space, "b"))
    seen = await events(client, ConfigMap, space, "", 2)
    assert {event.type for event in seen} == {"ADDED"}
    assert [event.object.key.name for event in seen if event.object] == ["a", "b"]


async def test_a_selector_turns_changes_into_comings_and_goings(client: Client, space: str) -> None:
    made = await client.create(config_map(space))
    await client.patch(ConfigMap, "c", space, {"metadata": {"labels": {"on": "yes"}}})
    await client.patch(ConfigMap, "c", space, {"metadata": {"labels": {"on": None}}})
    found: list[str] = []
    stream = client.watch(
        ConfigMap, space, labels="on=yes", resource_version=made.metadata.resource_version or ""
    )
    async with asyncio.timeout(SECONDS), aclosing(stream):
        async for batch in stream:
            found += [event.type for event in batch if event.type != "BOOKMARK"]
            if len(found) >= 2:
                break
    assert found == ["ADDED", "DELETED"]


async def test_delete_collection_takes_what_the_selector_names(client: Client, space: str) -> None:
    for name in ("a", "b", "c"):
        await client.create(config_map(space, name))
    await client.delete_collection(ConfigMap, space, labels="app!=b")
    assert [each.key.name for each in await client.list(ConfigMap, space)] == ["b"]
