"""Defaults: what upstream's `SetDefaults_*` functions fill in before anybody else sees the object.

Every function works in place on an object in normal form, and changes nothing the second time.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from services.apiserver.rules import (
    defaults_access,
    defaults_admission,
    defaults_autoscaling,
    defaults_devices,
    defaults_flow_control,
    defaults_networking,
    defaults_quotas,
    defaults_storage,
    defaults_workloads,
)
from services.apiserver.rules.defaults_pods import pod, round_up, template

Json = dict[str, Any]


def deployment(obj: Json) -> None:
    spec = obj["spec"]
    spec.setdefault("replicas", 1)
    strategy = spec["strategy"]
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    template(spec)


def replica_set(obj: Json) -> None:
    obj["spec"].setdefault("replicas", 1)
    template(obj["spec"])


def replication_controller(obj: Json) -> None:
    spec = obj["spec"]
    labels = (spec.get("template") or {}).get("metadata", {}).get("labels")
    if labels:
        spec.setdefault("selector", dict(labels))
        obj["metadata"].setdefault("labels", dict(labels))
    spec.setdefault("replicas", 1)
    template(spec)


def service(obj: Json) -> None:
    spec = obj["spec"]
    if not spec.get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    if spec["sessionAffinity"] == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", 10800)
    if not spec.get("type"):
        spec["type"] = "ClusterIP"
    for port in spec.get("ports", ()):
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (0, "", None):
            port["targetPort"] = port.get("port", 0)
    reachable = spec["type"] in ("NodePort", "LoadBalancer") or spec.get("externalIPs")
    if reachable and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec["type"] in ("NodePort", "LoadBalancer", "ClusterIP"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        service_status(obj)


def service_status(obj: Json) -> None:
    for ingress in obj.get("status", {}).get("loadBalancer", {}).get("ingress", ()):
        if ingress.get("ip"):
            ingress.setdefault("ipMode", "VIP")


def endpoints(obj: Json) -> None:
    for subset in obj.get("subsets", ()):
        for port in subset.get("ports", ()):
            port.setdefault("protocol", "TCP")


def namespace(obj: Json) -> None:
    name = obj["metadata"].get("name")
    if name:  # A generated name is not known yet; prepare_create comes back to it.
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name


def node(obj: Json) -> None:
    spec = obj["spec"]
    # One range, and the list of ranges that it is the first of.
    if spec.get("podCIDR") and not spec.get("podCIDRs"):
        spec["podCIDRs"] = [spec["podCIDR"]]
    elif spec.get("podCIDRs", [""])[0]:
        spec["podCIDR"] = spec["podCIDRs"][0]
    node_status(obj)


def node_status(obj: Json) -> None:
    status = obj["status"]
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))
    for name in ("capacity", "allocatable"):
        if name in status:
            round_up(status[name])


def secret(obj: Json) -> None:
    if not obj.get("type"):
        obj["type"] = "Opaque"
    # Upstream does this on conversion: clear text moves into data and is not kept.
    texts = obj.pop("stringData", None)
    if texts:
        data = obj.setdefault("data", {})
        for key, text in texts.items():
            data[key] = b64encode(text.encode()).decode()


def priority_class(obj: Json) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def token_request(obj: Json) -> None:
    if obj["spec"].get("expirationSeconds") is None:
        obj["spec"]["expirationSeconds"] = 3600


def definition(obj: Json) -> None:
    """Its rules are loaded with the first one."""
    from services.apiserver.crd import definition_rules

    definition_rules.default(obj)


DEFAULTS: dict[str, Callable[[Json], None]] = {
    "CustomResourceDefinition": definition,
    "Pod": pod,
    "Deployment": deployment,
    "ReplicaSet": replica_set,
    "ReplicationController": replication_controller,
    "Service": service,
    "Endpoints": endpoints,
    **defaults_access.DEFAULTS,
    **defaults_admission.DEFAULTS,
    **defaults_autoscaling.DEFAULTS,
    **defaults_flow_control.DEFAULTS,
    **defaults_devices.DEFAULTS,
    **defaults_networking.DEFAULTS,
    **defaults_quotas.DEFAULTS,
    **defaults_storage.DEFAULTS,
    **defaults_workloads.DEFAULTS,
    "Namespace": namespace,
    "Node": node,
    "Secret": secret,
    "PriorityClass": priority_class,
    "TokenRequest": token_request,
}

# What a status needs when only the status counts; the spec is the old one.
STATUS_DEFAULTS: dict[str, Callable[[Json], None]] = {
    "Node": node_status,
    "ResourceQuota": defaults_quotas.quota_status,
    "Service": service_status,
}
