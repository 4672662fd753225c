"""The official Python client: what people script clusters with."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.clients.objects import BYTES, GREETING, PORT, READS_LINES, config_map, pod
from tests.e2e.cluster import PATIENCE_SECONDS, Cluster

kubernetes = pytest.importorskip("kubernetes", reason="the Python package kubernetes is not installed")
from kubernetes import client, config, dynamic, stream, utils, watch  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # it leaves sockets open
]


@pytest.fixture(scope="module")
def api(kubeconfig: str) -> Iterator[Any]:
    settings = client.Configuration()
    config.load_kube_config(kubeconfig, client_configuration=settings)
    with client.ApiClient(settings) as api:
        yield api


@pytest.fixture
def core(api: Any) -> Any:
    return client.CoreV1Api(api)


def test_objects_come_change_and_go(core: Any, api: Any, space: str) -> None:
    made = core.create_namespaced_config_map(space, config_map("settings", a="1"))
    assert made.metadata.uid
    made.data["b"] = "2"
    made = core.replace_namespaced_config_map("settings", space, made)
    stale = core.read_namespaced_config_map("settings", space)
    core.patch_namespaced_config_map("settings", space, {"data": {"a": None, "c": "3"}})
    with pytest.raises(client.ApiException) as refused:
        core.replace_namespaced_config_map("settings", space, stale)
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    listed = core.list_namespaced_config_map(space, label_selector="of=test", limit=1)
    assert [each.data for each in listed.items] == [{"b": "2", "c": "3"}]
    deleted = api.sanitize_for_serialization(core.delete_namespaced_config_map("settings", space))
    assert (deleted["kind"], deleted["status"]) == ("Status", "Success")
    with pytest.raises(client.ApiException) as refused:
        core.read_namespaced_config_map("settings", space)
    assert refused.value.status == 404


def test_every_kind_of_patch(api: Any, core: Any, space: str) -> None:
    apps = client.AppsV1Api(api)
    utils.create_from_dict(api, deployment("patched"), namespace=space)
    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox"}]}}}}
    patched = apps.patch_namespaced_deployment("patched", space, strategic)
    assert [each.name for each in patched.spec.template.spec.containers] == ["side", "main"]
    patched = apps.patch_namespaced_deployment(
        "patched", space, [{"op": "replace", "path": "/spec/replicas", "value": 0}]
    )
    assert patched.spec.replicas == 0
    scale = apps.patch_namespaced_deployment_scale("patched", space, {"spec": {"replicas": 1}})
    assert (scale.kind, scale.spec.replicas) == ("Scale", 1)
    resources = dynamic.DynamicClient(api).resources.get(api_version="apps/v1", kind="Deployment")
    applied = resources.server_side_apply(
        body={**deployment("patched"), "metadata": {"name": "patched", "labels": {"a": "b"}}},
        name="patched",
        namespace=space,
        field_manager="tester",
        force_conflicts=True,
    )
    assert applied.metadata.labels.a == "b"
    assert {each.manager for each in applied.metadata.managedFields} >= {"tester"}
    apps.delete_namespaced_deployment("patched", space, propagation_policy="Foreground")


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod(name)["spec"]}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def test_a_watch_begins_where_a_list_ended_and_goes_on_where_it_broke(core: Any, space: str) -> None:
    version = core.list_namespaced_config_map(space).metadata.resource_version
    for name in ("one", "two"):
        core.create_namespaced_config_map(space, config_map(name))
    watcher, seen = watch.Watch(), []
    for event in watcher.stream(core.list_namespaced_config_map, space, resource_version=version):
        seen.append((event["type"], event["object"].metadata.name))
        if seen[-1] == ("ADDED", "two"):
            core.delete_namespaced_config_map("one", space)
        if seen[-1] == ("DELETED", "one"):
            watcher.stop()
    assert seen == [("ADDED", "one"), ("ADDED", "two"), ("DELETED", "one")]
    again = watch.Watch()
    again.resource_version = watcher.resource_version
    core.delete_namespaced_config_map("two", space)
    following = again.stream(
        core.list_namespaced_config_map, space, resource_version=watcher.resource_version
    )
    event = next(following)
    assert (event["type"], event["object"].metadata.name) == ("DELETED", "two")
    following.close()


def test_too_old_a_version_is_410(core: Any, space: str) -> None:
    with pytest.raises(client.ApiException) as refused:
        list(watch.Watch().stream(core.list_namespaced_pod, space, resource_version="1", timeout_seconds=5))
    assert refused.value.status == 410
    assert "too old resource version: 1 (" in refused.value.reason


def test_bookmarks_tell_where_the_initial_list_ends(core: Any, space: str) -> None:
    watcher = watch.Watch()
    for event in watcher.stream(
        core.list_namespaced_pod,
        space,
        send_initial_events=True,
        resource_version_match="NotOlderThan",
        allow_watch_bookmarks=True,
    ):
        if event["type"] == "BOOKMARK":
            annotations = event["raw_object"]["metadata"]["annotations"]
            assert annotations == {"k8s.io/initial-events-end": "true"}
            break
        assert (event["type"], event["object"].kind) == ("ADDED", "Pod")
    assert int(watcher.resource_version) > 0


def test_logs(core: Any, space: str) -> None:
    assert core.read_namespaced_pod_log("web", space, tail_lines=1000).startswith(GREETING)
    lines = watch.Watch().stream(core.read_namespaced_pod_log, "web", space)
    assert next(lines) == GREETING
    core.connect_get_namespaced_pod_proxy_with_path(f"web:{PORT}", space, "")
    assert any(line.startswith("Received request") for line in lines)
    lines.close()


def test_exec(core: Any, space: str) -> None:
    command = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    run = stream.stream(
        *(core.connect_get_namespaced_pod_exec, "web", space),
        command=command,
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
        _preload_content=False,
    )
    run.run_forever(PATIENCE_SECONDS)
    assert (run.read_stdout(), run.read_stderr(), run.returncode) == ("out\n", "err\n", 3)
    told = stream.stream(
        *(core.connect_get_namespaced_pod_exec, "web", space),
        command=["sh", "-c", READS_LINES],
        stdout=True,
        stderr=True,
        stdin=True,
        _preload_content=False,
    )
    told.write_stdin("one\n")
    assert told.readline_stdout(PATIENCE_SECONDS) == "heard one"
    told.write_stdin("two\n")
    assert told.readline_stdout(PATIENCE_SECONDS) == "heard two"
    told.close_channel(0)
    told.run_forever(PATIENCE_SECONDS)
    assert told.returncode == 0
    text = stream.stream(
        core.connect_get_namespaced_pod_exec, "web", space, command=["hostname"], stdout=True
    )
    assert text == "web\n"
    with pytest.raises(client.ApiException) as refused:
        stream.stream(core.connect_get_namespaced_pod_exec, "none", space, command=["ls"], stdout=True)
    assert refused.value.status == 404 or "404" in str(refused.value.reason)


def test_exec_carries_any_bytes(core: Any, space: str) -> None:
    run = stream.stream(
        *(core.connect_get_namespaced_pod_exec, "web", space),
        command=["head", "-c", str(len(BYTES))],
        stdout=True,
        stdin=True,
        stderr=True,
        binary=True,
        _preload_content=False,
    )
    run.write_stdin(BYTES)
    got = b""
    while run.is_open():
        run.update(timeout=PATIENCE_SECONDS)
        got += run.read_stdout() or b""
    assert got == BYTES


def test_attach(core: Any, space: str) -> None:
    body = pod("attached", "busybox", command=["sh", "-c", READS_LINES], stdin=True)
    core.create_namespaced_pod(space, body)
    watcher = watch.Watch()
    for event in watcher.stream(
        core.list_namespaced_pod, space, field_selector="metadata.name=attached", deserialize=False
    ):
        if event["object"]["status"].get("phase") == "Running":
            break
    attached = stream.stream(
        *(core.connect_get_namespaced_pod_attach, "attached", space),
        stdin=True,
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    attached.write_stdin("you\n")
    assert attached.readline_stdout(PATIENCE_SECONDS) == "heard you"
    attached.close()


def test_port_forward(core: Any, space: str) -> None:
    forwarded = stream.portforward(
        core.connect_get_namespaced_pod_portforward, "web", space, ports=f"{PORT},81"
    )
    peer = forwarded.socket(PORT)
    peer.setblocking(True)
    peer.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
    answer = http.client.HTTPResponse(peer)
    answer.begin()
    assert answer.read() == b"You've hit web\n"
    assert forwarded.error(PORT) is None
    refused = forwarded.socket(81)
    refused.setblocking(True)
    assert refused.recv(1) == b""
    assert "error forwarding port 81 to pod web" in forwarded.error(81)
    assert "connection refused" in forwarded.error(81)


def test_access_is_asked_about(api: Any, space: str) -> None:
    attributes = {"namespace": space, "verb": "get", "resource": "pods"}
    review = client.AuthorizationV1Api(api).create_self_subject_access_review(
        {"spec": {"resourceAttributes": attributes}}
    )
    assert review.status.allowed


def test_every_kind_is_read_by_its_model(api: Any, cluster: Cluster) -> None:
    """The models refuse what lacks a required field."""
    read = 0
    # An Event of an old client has no eventTime, which upstream tells by null and this model refuses.
    names = (name for name in dir(client) if name.endswith("Api") and name != "EventsV1Api")
    for name in names:
        group = getattr(client, name)(api)
        for method in dir(group):
            if method.startswith("list_") and method.endswith(("_for_all_namespaces", "_node", "_class")):
                if "custom_object" in method:
                    continue
                with contextlib.suppress(client.exceptions.NotFoundException):  # of a group we have not
                    read += len(getattr(group, method)().items)
    assert read > 20
