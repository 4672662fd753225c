"""lightkube: typed objects, and a client whose exec speaks the newest protocol only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from tests.e2e.clients.objects import BYTES, GREETING, PORT, READS_LINES, config_map, pod
from tests.e2e.cluster import PATIENCE_SECONDS, Cluster

pytest.importorskip("lightkube", reason="the Python package lightkube is not installed")
from httpx2.websockets import WebSocketSession
from lightkube import ApiError, AsyncClient, Client, KubeConfig, codecs
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Node, Pod
from lightkube.types import PatchType

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def _no_socket_is_closed_while_it_is_read() -> Iterator[None]:
    """The client's library closes a WebSocket's descriptor while a thread of its own still reads from it.

    The number is the next connection's then, and that thread takes bytes of the next handshake, which ends
    with `SSL: WRONG_VERSION_NUMBER`. Here the thread is told of the end, and waited for, before that.
    """
    close = WebSocketSession.close

    def close_when_read(session: WebSocketSession, code: int = 1000, reason: str | None = None) -> None:
        stream = session.stream

        def close_stream() -> None:
            with contextlib.suppress(OSError):  # the peer may have ended it
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            if session._executor is not None:
                session._executor.shutdown()
            type(stream).close(stream)

        patch.setattr(stream, "close", close_stream)
        close(session, code, reason)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WebSocketSession, "close", close_when_read)
        yield


@pytest.fixture(scope="module")
def client(kubeconfig: str, space: str) -> Iterator[Client]:
    with Client(config=KubeConfig.from_file(kubeconfig), namespace=space, field_manager="tester") as client:
        yield client


def test_objects_come_change_and_go(client: Client) -> None:
    made = client.create(
        ConfigMap(metadata=ObjectMeta(name="settings", labels={"of": "test"}), data={"a": "1"})
    )
    assert made.metadata is not None
    made.data = {"b": "2"}
    changed = client.replace(made)
    assert changed.data == {"b": "2"}
    with pytest.raises(ApiError) as refused:
        client.replace(made)
    assert (refused.value.status.code, refused.value.status.reason) == (409, "Conflict")
    assert [each.data for each in client.list(ConfigMap, labels={"of": "test"}, chunk_size=1)] == [{"b": "2"}]
    client.delete(ConfigMap, "settings")
    with pytest.raises(ApiError) as refused:
        client.get(ConfigMap, "settings")
    assert refused.value.status.code == 404


def test_every_kind_of_patch(client: Client) -> None:
    client.create(codecs.from_dict(config_map("patched", a="1")))
    client.patch(ConfigMap, "patched", {"data": {"strategic": "1"}})
    client.patch(ConfigMap, "patched", {"data": {"merge": "1"}}, patch_type=PatchType.MERGE)
    operations = [{"op": "add", "path": "/data/json", "value": "1"}]
    client.patch(ConfigMap, "patched", operations, patch_type=PatchType.JSON)
    applied = client.apply(codecs.from_dict(config_map("patched", apply="1")), force=True)
    assert sorted(applied.data or ()) == ["a", "apply", "json", "merge", "strategic"]
    client.set(ConfigMap, "patched", labels={"more": "yes"})
    with pytest.raises(ApiError) as refused:
        client.apply(codecs.from_dict(config_map("patched", apply="2")), field_manager="another")
    assert refused.value.status.reason == "Conflict"
    client.deletecollection(ConfigMap)


def test_a_deployment_is_waited_for(client: Client) -> None:
    labels = {"app": "waited"}
    template = {"metadata": {"labels": labels}, "spec": pod("")["spec"]}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "waited"}, "spec": spec}
    client.create(codecs.from_dict(body))
    done = client.wait(Deployment, "waited", for_conditions=["Available"])
    assert done.status is not None
    assert done.status.availableReplicas == 1
    client.delete(Deployment, "waited")


def test_a_watch_begins_where_a_list_ended_and_goes_on_where_it_broke(client: Client) -> None:
    listed = client.list(ConfigMap)
    list(listed)
    version = listed.resourceVersion
    client.create(codecs.from_dict(config_map("one")))
    event, found = next(iter(client.watch(ConfigMap, resource_version=version)))
    assert (event, found.metadata and found.metadata.name) == ("ADDED", "one")
    client.delete(ConfigMap, "one")
    # The server ends each of these watches after a second; the client goes on.
    seen = client.watch(ConfigMap, resource_version=version, server_timeout=1)
    assert [next(seen)[0], next(seen)[0]] == ["ADDED", "DELETED"]
    client.create(codecs.from_dict(config_map("two")))
    assert next(seen)[0] == "ADDED"


def test_too_old_a_version_is_410(client: Client) -> None:
    with pytest.raises(ApiError) as refused:
        next(iter(client.watch(Pod, resource_version="1", server_timeout=5)))
    assert refused.value.status.code == 410


def test_logs(client: Client, cluster: Cluster, space: str) -> None:
    assert next(iter(client.log("web"))) == f"{GREETING}\n"
    for line in client.log("web", follow=True, newlines=False):
        if line == GREETING:
            cluster.ok("exec", "-n", space, "web", "--", "wget", "-qO-", f"http://localhost:{PORT}")
        elif line.startswith("Received request"):
            break


def test_exec(client: Client) -> None:
    command = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    ended = client.exec("web", command=command, stdout=True, stderr=True)
    assert (ended.stdout, ended.stderr, ended.exit_code) == ("out\n", "err\n", 3)
    told = client.exec("web", command=["sh", "-c", READS_LINES], stdin="one\ntwo\n", stdout=True)
    assert (told.stdout, told.exit_code) == ("heard one\nheard two\n", 0)
    copied = client.exec("web", command=["cat"], stdin=BYTES, stdout=True, decode=None)
    assert copied.stdout == BYTES
    with pytest.raises(Exception, match="404 Not Found"):
        client.exec("none", command=["ls"], stdout=True)


async def test_as_coroutines(kubeconfig: str, space: str) -> None:
    client = AsyncClient(config=KubeConfig.from_file(kubeconfig), namespace=space)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert [node.metadata.name async for node in client.list(Node) if node.metadata] == [
                "node-1",
                "node-2",
            ]
            ended = await client.exec("web", command=["hostname"], stdout=True)
            assert ended.stdout == "web\n"
    finally:
        await client.close()


def test_what_it_loads_is_what_there_is(client: Client, cluster: Cluster, space: str) -> None:
    theirs = client.get(Pod, "web").to_dict()
    ours = json.loads(cluster.ok("get", "pod", "web", "-n", space, "-o", "json", "--show-managed-fields"))
    assert theirs["status"]["containerStatuses"] == ours["status"]["containerStatuses"]
