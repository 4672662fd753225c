"""What is valid and probably not meant, word for word as upstream warns of it."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.rules import warnings
from tests.unit.apiserver.rules.test_storage_kinds import claim, stored, volume

Json = dict[str, Any]
REQUIRED, PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))
ARCH = {"matchExpressions": [{"key": "beta.kubernetes.io/arch", "operator": "Exists"}]}
OLD_ARCH = 'key: beta.kubernetes.io/arch is deprecated since v1.14; use "kubernetes.io/arch" instead'
NO_POD = "labelSelector: a null labelSelector results in matching no pod"


def told(obj: Json, old: Json | None = None) -> list[str]:
    return warnings.of(obj["kind"], obj, old)


def pod(annotations: Json | None = None, ports: list[Json] | None = None, **spec: Any) -> Json:
    container = {"name": "c", "image": "a:1", "ports": ports or []}
    made = stored("v1", "Pod", spec={"containers": [container], **spec})
    made["metadata"]["annotations"] = annotations or {}
    return made


def affinity(**kinds: Any) -> Json:
    return pod(affinity=kinds)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (
            affinity(nodeAffinity={REQUIRED: {"nodeSelectorTerms": [ARCH]}}),
            [f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0].{OLD_ARCH}"],
        ),
        (
            affinity(nodeAffinity={PREFERRED: [{"weight": 1, "preference": ARCH}]}),
            [f"spec.affinity.nodeAffinity.{PREFERRED}[0].preference.matchExpressions[0].{OLD_ARCH}"],
        ),
        (
            affinity(podAffinity={REQUIRED: [{"topologyKey": "z"}]}),
            [f"spec.affinity.podAffinity.{REQUIRED}[0].{NO_POD}"],
        ),
        (
            affinity(podAntiAffinity={PREFERRED: [{"weight": 1, "podAffinityTerm": {"topologyKey": "z"}}]}),
            [f"spec.affinity.podAntiAffinity.{PREFERRED}[0].podAffinityTerm.{NO_POD}"],
        ),
        (
            pod({"container.seccomp.security.alpha.kubernetes.io/c": "x"}),
            [
                "metadata.annotations[container.seccomp.security.alpha.kubernetes.io/c]: non-functional in"
                ' v1.27+; use the "seccompProfile" field instead'
            ],
        ),
        (
            pod(ports=[{"name": "p", "containerPort": 80, "hostIP": "1.2.3.4"}]),
            [
                "spec.containers[0].ports[0]: hostIP set without hostPort: {Name:p HostPort:0"
                " ContainerPort:80 Protocol:TCP HostIP:1.2.3.4}"
            ],
        ),
        (
            pod(
                ports=[
                    {"containerPort": 80, "hostPort": 8080},
                    {"containerPort": 80, "hostPort": 8080, "hostIP": "1.2.3.4"},
                ]
            ),
            [
                "spec.containers[0].ports[1]: dangerously ambiguous port definition with"
                " spec.containers[0].ports[0]"
            ],
        ),
        (pod(), []),
    ],
)
def test_pods(found: Json, wanted: list[str]) -> None:
    assert told(found) == wanted


def test_a_template_that_gives_no_time_to_end() -> None:
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "a:1"}], "terminationGracePeriodSeconds": -1},
    }
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    assert told(stored("apps/v1", "Deployment", spec=spec)) == [
        "spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will"
        " be treated as 1"
    ]


def test_claims_and_volumes() -> None:
    assert told(claim(resources={"requests": {"storage": "100m"}})) == [
        'spec.resources.requests[storage]: fractional byte value "100m" is invalid, must be an integer'
    ]
    found = volume(rbd={"monitors": ["m"], "image": "i"}, persistentVolumeReclaimPolicy="Recycle")
    found["metadata"]["annotations"] = {"volume.beta.kubernetes.io/storage-class": "c"}
    assert told(found) == [
        "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use"
        ' "storageClassName" attribute instead',
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the"
        " recommended approach is to use dynamic provisioning.",
        "spec.rbd: deprecated in v1.28, non-functional in v1.31+",
    ]


def test_services() -> None:
    ports = [{"port": 80}]
    found = stored("v1", "Service", spec={"ports": ports, "trafficDistribution": "PreferClose"})
    why = 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'
    assert told(found) == told(found, found) == [why]
    named = stored("v1", "Service", spec={"ports": ports, "externalName": "x.io"})
    assert told(named) == ['spec.externalName is ignored when spec.type is not "ExternalName"']


def test_the_old_way_to_name_an_ingress_class() -> None:
    found = stored("networking.k8s.io/v1", "Ingress", spec={"defaultBackend": {"service": {"name": "s"}}})
    found["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "nginx"}
    why = (
        "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
    )
    assert told(found) == [why]
    assert told(found, found) == []
