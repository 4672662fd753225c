"""The environment of a container: where each variable comes from, in which order, and what may be missing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.api.core_v1 import ConfigMap, Pod, Secret
from services.kubelet.environment import Surroundings, variables
from services.kubelet.references import ConfigError, Sources

SOURCES = Sources(
    "team",
    {"cfg": ConfigMap(data={"A": "a", "B": "b"}, binary_data={"RAW": "cmF3"}), "gone": None},
    {"sec": Secret(data={"PASSWORD": "c2VjcmV0"}), "lost": None},
)
AROUND = Surroundings(
    sources=SOURCES,
    services={"KUBERNETES_SERVICE_HOST": "10.96.0.1"},
    host_ip="192.168.0.2",
    pod_ip="10.244.0.7",
    allocatable={"cpu": "4", "memory": "8Gi"},
)
POD: dict[str, Any] = {
    "metadata": {
        "name": "p",
        "namespace": "team",
        "uid": "u",
        "labels": {"app": "web", "a/b": "c"},
        "annotations": {"note": "x"},
    },
    "spec": {"nodeName": "n1", "serviceAccountName": "robot"},
}


def environment(
    env: list[Any] | None = None, env_from: list[Any] | None = None, **more: Any
) -> dict[str, str]:
    container = {"name": "c", "env": env or [], "envFrom": env_from or [], **more}
    pod = msgspec.convert({**POD, "spec": {**POD["spec"], "containers": [container]}}, Pod)
    return variables(pod, pod.spec.containers[0], AROUND)


def field(path: str) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "team"),
        ("metadata.uid", "u"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['a/b']", "c"),
        ("metadata.labels['nope']", ""),
        ("metadata.annotations['note']", "x"),
        ("spec.nodeName", "n1"),
        ("spec.serviceAccountName", "robot"),
        ("status.hostIP", "192.168.0.2"),
        ("status.hostIPs", "192.168.0.2"),
        ("status.podIP", "10.244.0.7"),
        ("status.podIPs", "10.244.0.7"),
    ],
)
def test_fields(path: str, value: str) -> None:
    assert environment([field(path)])["X"] == value


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "0", "2"),  # rounded up
        ("limits.cpu", "1m", "1500"),
        ("requests.cpu", "1m", "250"),
        ("limits.memory", "1Mi", "8192"),  # the node's, where there is no limit
        ("requests.memory", "1", "67108864"),
        ("requests.ephemeral-storage", "1", "0"),
    ],
)
def test_resources(resource: str, divisor: str, value: str) -> None:
    resources = {"limits": {"cpu": "1500m"}, "requests": {"cpu": "250m", "memory": "64Mi"}}
    reference = {"resourceFieldRef": {"resource": resource, "divisor": divisor}}
    assert environment([{"name": "X", "valueFrom": reference}], resources=resources)["X"] == value


def test_all_keys_of_a_map_with_a_prefix() -> None:
    found = environment(env_from=[{"prefix": "C_", "configMapRef": {"name": "cfg"}}])
    assert [found["C_A"], found["C_B"], found["C_RAW"]] == ["a", "b", "raw"]
    assert environment(env_from=[{"secretRef": {"name": "sec"}}])["PASSWORD"] == "secret"


def test_later_definitions_win_and_see_earlier_ones() -> None:
    whole = [{"configMapRef": {"name": "cfg"}}]
    found = environment(
        [
            {"name": "A", "value": "$(A)+"},
            {"name": "URL", "value": "http://$(KUBERNETES_SERVICE_HOST)/$(A)$$(A)$(LATER)"},
            {"name": "LATER", "value": "1"},
        ],
        whole,
    )
    assert found["A"] == "a+"
    assert found["URL"] == "http://10.96.0.1/a+$(A)$(LATER)"


@pytest.mark.parametrize(
    ("env", "env_from", "message"),
    [
        ([], [{"configMapRef": {"name": "gone"}}], 'configmap "gone" not found'),
        ([], [{"secretRef": {"name": "lost"}}], 'secret "lost" not found'),
        (
            [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "k"}}}],
            [],
            "couldn't find key k in ConfigMap team/cfg",
        ),
        (
            [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "k"}}}],
            [],
            "couldn't find key k in Secret team/sec",
        ),
    ],
)
def test_what_is_missing(env: list[Any], env_from: list[Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        environment(env, env_from)
    assert str(raised.value) == message


def test_what_may_be_missing() -> None:
    found = environment(
        [
            {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "k", "optional": True}}},
            {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "k", "optional": True}}},
        ],
        [{"configMapRef": {"name": "gone", "optional": True}}],
    )
    assert found == {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
