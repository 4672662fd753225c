"""What is in every cluster from its first moment: namespaces, the range of Services, the API's own Service.

Made again when somebody deleted it while the API server was away. Upstream: `pkg/controlplane/controller`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import orjson

from services.api import core_v1, errors, scheduling_v1
from services.api.kinds import resource_of
from services.apiserver.registry.address_repair import AddressRepair
from services.apiserver.registry.cluster_ips import SERVICE_CIDRS
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.rules.addresses import KUBERNETES_IP, SERVICE_NETWORK
from services.apiserver.rules.validation.priority import SYSTEM_CLASSES
from services.machinery.clock import Clock, rfc3339
from services.process.logging import Logger

NAMESPACES = ("default", "kube-system", "kube-node-lease", "kube-public")
RETRY_SECONDS = 0.5
OPTIONS = WriteOptions(field_manager="kube-apiserver")
# The texts are part of objects that clients see.
CLASS_DESCRIPTIONS = {
    "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved "
    "to another node if necessary.",
    "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
}
KUBERNETES: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
    "spec": {
        "clusterIP": KUBERNETES_IP,
        "clusterIPs": [KUBERNETES_IP],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        "sessionAffinity": "None",
        "type": "ClusterIP",
    },
}


SERVICE_CIDR: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "ServiceCIDR",
    "metadata": {"name": "kubernetes"},
    "spec": {"cidrs": [str(SERVICE_NETWORK)]},
}


def _service_cidr_status(now: datetime) -> dict[str, Any]:
    ready = {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": rfc3339(now),
        "message": "Kubernetes default Service CIDR is ready",
    }
    named = {field: SERVICE_CIDR[field] for field in ("apiVersion", "kind", "metadata")}
    return {**named, "status": {"conditions": [ready]}}


async def make_all(registry: Registry, clock: Clock, log: Logger) -> None:
    """Returns once all of it is there; waits for etcd as long as it takes."""
    namespaces, services = resource_of(core_v1.Namespace), resource_of(core_v1.Service)
    for name in NAMESPACES:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await _make(registry, Target(namespaces, "", name), body, clock, log)
    await _make(registry, Target(SERVICE_CIDRS, "", "kubernetes"), SERVICE_CIDR, clock, log)
    await until_done(lambda: _say_ready(registry, clock.now()), clock, log, "say that addresses can be given")
    repair = AddressRepair(registry, clock, log)
    await until_done(repair.once, clock, log, "enter the addresses that Services have")
    await _make(registry, Target(services, "default", "kubernetes"), KUBERNETES, clock, log)


async def _say_ready(registry: Registry, now: datetime) -> None:
    """The status of the default range, as the controller of ranges applies it upstream."""
    found = await registry.get(Target(SERVICE_CIDRS, "", "kubernetes"))
    if orjson.loads(found.item.value).get("status", {}).get("conditions"):
        return
    target = Target(SERVICE_CIDRS, "", "kubernetes", "status")
    options = WriteOptions(field_manager="kubernetes-service-cidr-controller", force=True)
    await registry.patch(
        target, orjson.dumps(_service_cidr_status(now)), "application/apply-patch+yaml", options
    )


async def until_done(attempt: Callable[[], Awaitable[None]], clock: Clock, log: Logger, what: str) -> None:
    while True:
        try:
            return await attempt()
        except errors.ApiError as error:
            log.warning(f"Cannot {what}, yet", reason=error.message)
            await clock.sleep(RETRY_SECONDS)


async def make_priority_classes(registry: Registry, clock: Clock, log: Logger) -> None:
    """The two that the system's own Pods use."""
    classes = resource_of(scheduling_v1.PriorityClass)
    for name, value in SYSTEM_CLASSES.items():
        body = {
            "apiVersion": classes.api_version,
            "kind": classes.kind,
            "metadata": {"name": name},
            "value": value,
            "description": CLASS_DESCRIPTIONS[name],
        }
        await _make(registry, Target(classes, "", name), body, clock, log)


async def _make(registry: Registry, target: Target, body: dict[str, Any], clock: Clock, log: Logger) -> None:
    collection = Target(target.resource, target.namespace)
    while registry.store(target.resource).find(target.namespace, target.name) is None:
        try:
            await registry.create(collection, orjson.dumps(body), OPTIONS)
            return
        except errors.ApiError as error:
            if errors.is_already_exists(error):
                return
            kind, reason = body["kind"], error.message
            log.warning("Cannot make what every cluster has, yet", kind=kind, name=target.name, reason=reason)
            await clock.sleep(RETRY_SECONDS)
