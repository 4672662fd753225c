"""Pushing the image that is missing heals the Pods that wait for it; a secret opens what is private."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from services.api.core_v1 import Pod
from services.machinery.pods import is_ready
from tests.e2e.cluster import Cluster
from tests.support.oci import Answer, layer, oci_client

BEHAVIOUR = "program: /heron\nlog: [heron is here]\nhttp: [{port: 8080, body: 'heron on ${hostname}'}]\n"


def push(cluster: Cluster, name: str, **config: Any) -> Answer:
    """As `docker login` and `docker push` do it."""

    async def pushed() -> Answer:
        base = f"http://127.0.0.1:{cluster.record['ports']['registry-http']}"
        async with oci_client(base, "me", "secret") as client:
            return await client.push(
                name, "latest", [layer({"heron": b"\x7fELF", "etc/heron": "a bird\n"})], **config
            )

    return asyncio.run(pushed())


def pod_that(test: Callable[[Pod], bool], name: str) -> Callable[..., bool]:
    def check(pods: dict[object, Pod]) -> bool:
        return any(pod.metadata.name == name and test(pod) for pod in pods.values())

    return check


def waits_for(reason: str) -> Callable[[Pod], bool]:
    def check(pod: Pod) -> bool:
        states = [status.state.waiting for status in pod.status.container_statuses or () if status.state]
        return any(waiting is not None and waiting.reason == reason for waiting in states)

    return check


def test_a_push_heals_an_image_pull_back_off(cluster: Cluster, namespace: str) -> None:
    cluster.ok("-n", namespace, "run", "heron", "--image=heron", "--port=8080")
    cluster.until(Pod, pod_that(waits_for("ImagePullBackOff"), "heron"), namespace)
    events = cluster.ok("-n", namespace, "describe", "pod", "heron")
    assert (
        'failed to pull and unpack image "docker.io/library/heron:latest": '
        'failed to resolve reference "docker.io/library/heron:latest": pull access denied, repository does '
        "not exist or may require authorization: server message: insufficient_scope: authorization failed"
    ) in " ".join(events.split())
    assert push(cluster, "heron", Cmd=["/heron"], Labels={"dev.orrery.behaviour": BEHAVIOUR}).status == 201
    cluster.until(Pod, pod_that(is_ready, "heron"), namespace)
    assert cluster.ok("-n", namespace, "logs", "heron") == "heron is here\n"


def test_a_secret_opens_a_private_repository(cluster: Cluster, namespace: str) -> None:
    assert push(cluster, "me/private-heron", Cmd=["/heron"]).status == 201
    login = {"auths": {"docker.io": {"username": "me", "password": "secret"}}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps(login)},
    }
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "me/private-heron"}], "imagePullSecrets": secrets},
        }
        for name, secrets in (("with", [{"name": "login"}]), ("without", []))
    ]
    for thing in (secret, *pods):
        cluster.ok("-n", namespace, "apply", "-f", "-", stdin=json.dumps(thing))
    cluster.until(Pod, pod_that(is_ready, "with"), namespace)
    cluster.until(Pod, pod_that(waits_for("ImagePullBackOff"), "without"), namespace)
