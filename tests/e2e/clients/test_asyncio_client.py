"""kubernetes_asyncio: the official client's methods as coroutines. It asks for watches with `watch=True`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.clients.objects import GREETING, PORT, READS_LINES, config_map, pod
from tests.e2e.cluster import PATIENCE_SECONDS

pytest.importorskip("kubernetes_asyncio", reason="the Python package kubernetes_asyncio is not installed")
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.stream import WsApiClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
async def settings(kubeconfig: str) -> Any:
    settings = client.Configuration()
    await config.load_kube_config(kubeconfig, client_configuration=settings)
    return settings


@pytest.fixture
async def core(settings: Any) -> AsyncIterator[Any]:
    async with asyncio.timeout(PATIENCE_SECONDS * 2), client.ApiClient(settings) as api:
        yield client.CoreV1Api(api)


@pytest.fixture
async def streams(settings: Any) -> AsyncIterator[Any]:
    async with WsApiClient(settings) as api:
        yield client.CoreV1Api(api)


async def test_objects_come_change_and_go(core: Any, space: str) -> None:
    made = await core.create_namespaced_config_map(space, config_map("settings", a="1"))
    made.data["b"] = "2"
    changed = await core.replace_namespaced_config_map("settings", space, made)
    patched = await core.patch_namespaced_config_map("settings", space, {"data": {"a": None}})
    assert patched.data == {"b": "2"}
    made.metadata.resource_version = changed.metadata.resource_version
    with pytest.raises(ApiException) as refused:
        await core.replace_namespaced_config_map("settings", space, made)
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    await core.delete_collection_namespaced_config_map(space, label_selector="of=test")
    with pytest.raises(ApiException) as refused:
        await core.read_namespaced_config_map("settings", space)
    assert refused.value.status == 404


async def test_every_kind_of_patch(core: Any, space: str) -> None:
    await core.create_namespaced_config_map(space, config_map("patched", a="1"))
    for media, patch in (
        ("application/json-patch+json", [{"op": "add", "path": "/data/json", "value": "1"}]),
        ("application/merge-patch+json", {"data": {"merge": "1"}}),
        ("application/strategic-merge-patch+json", {"data": {"strategic": "1"}}),
        ("application/apply-patch+yaml", config_map("patched", apply="1")),
    ):
        applies = {"field_manager": "tester", "force": True} if "apply" in media else {}
        patched = await core.patch_namespaced_config_map(
            "patched", space, patch, _content_type=media, **applies
        )
    assert sorted(patched.data) == ["a", "apply", "json", "merge", "strategic"]


async def test_a_watch_begins_where_a_list_ended_and_goes_on_where_it_broke(core: Any, space: str) -> None:
    version = (await core.list_namespaced_config_map(space)).metadata.resource_version
    await core.create_namespaced_config_map(space, config_map("one"))
    selected = {"namespace": space, "label_selector": "of=test"}
    watcher = watch.Watch()
    async with watcher.stream(
        core.list_namespaced_config_map, **selected, resource_version=version, allow_watch_bookmarks=True
    ) as events:
        async for event in events:
            assert (event["type"], event["object"].metadata.name) == ("ADDED", "one")
            break
    await core.delete_namespaced_config_map("one", space)
    seen = watcher.resource_version
    async with watch.Watch().stream(
        core.list_namespaced_config_map, **selected, resource_version=seen
    ) as events:
        async for event in events:
            assert (event["type"], event["object"].metadata.name) == ("DELETED", "one")
            break
    # A watch that the server ends is over.
    async with watch.Watch().stream(core.list_namespaced_config_map, space, timeout_seconds=1) as events:
        assert {event["type"] async for event in events} == {"ADDED"}


async def test_too_old_a_version_is_410(core: Any, space: str) -> None:
    watcher = watch.Watch().stream(core.list_namespaced_pod, space, resource_version="1", timeout_seconds=5)
    async with watcher as events:
        with pytest.raises(ApiException) as refused:
            await anext(events)
    assert refused.value.status == 410


async def test_logs(core: Any, space: str) -> None:
    assert (await core.read_namespaced_pod_log("web", space)).startswith(GREETING)
    async with watch.Watch().stream(core.read_namespaced_pod_log, "web", space) as lines:
        async for line in lines:
            if line.startswith(GREETING):
                await core.connect_get_namespaced_pod_proxy_with_path(f"web:{PORT}", space, "")
            elif line.startswith("Received request"):
                break


async def test_exec(streams: Any, space: str) -> None:
    asked = {"name": "web", "namespace": space, "stdout": True, "stderr": True}
    assert await streams.connect_get_namespaced_pod_exec(**asked, command=["hostname"]) == "web\n"
    command = ["sh", "-c", "echo out; exit 3"]
    running = await streams.connect_get_namespaced_pod_exec(**asked, command=command, _preload_content=False)
    async with running as socket:
        said = [(message.data[0], message.data[1:]) async for message in socket]
    assert (1, b"out\n") in said
    assert WsApiClient.parse_error_data(said[-1][1].decode()) == 3
    reading = await streams.connect_get_namespaced_pod_exec(
        **asked, command=["sh", "-c", READS_LINES], stdin=True, _preload_content=False
    )
    async with reading as socket:
        await socket.send_bytes(b"\x00you\n")
        async for message in socket:
            if message.data[1:]:
                assert message.data == b"\x01heard you\n"
                break


async def test_attach(core: Any, streams: Any, space: str) -> None:
    body = pod("attached", "busybox", command=["sh", "-c", READS_LINES], stdin=True)
    await core.create_namespaced_pod(space, body)
    async with watch.Watch().stream(
        core.list_namespaced_pod, space, field_selector="metadata.name=attached"
    ) as events:
        async for event in events:
            if event["object"].status.phase == "Running":
                break
    attached = await streams.connect_get_namespaced_pod_attach(
        "attached", space, stdin=True, stdout=True, _preload_content=False
    )
    async with attached as socket:
        await socket.send_bytes(b"\x00you\n")
        async for message in socket:
            if message.data[1:]:
                assert message.data == b"\x01heard you\n"
                break


async def test_port_forward(streams: Any, space: str) -> None:
    forwarded = await streams.connect_get_namespaced_pod_portforward(
        "web", space, ports=PORT, _preload_content=False
    )
    async with forwarded as socket:
        number = PORT.to_bytes(2, "little")
        assert {await socket.receive_bytes(), await socket.receive_bytes()} == {
            b"\x00" + number,
            b"\x01" + number,
        }
        await socket.send_bytes(b"\x00GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
        answer = b"".join([message.data[1:] async for message in socket])
    assert answer.endswith(b"You've hit web\n")


async def test_every_group_tells_what_it_has(core: Any) -> None:
    groups = (await client.ApisApi(core.api_client).get_api_versions()).groups
    assert {"apps", "batch"} & {group.name for group in groups}
    assert (await client.VersionApi(core.api_client).get_code()).git_version.startswith("v1.")
