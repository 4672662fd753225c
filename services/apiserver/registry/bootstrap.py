"""What is in every cluster from its first moment: the system's namespaces, and the API's own Service.

Made again when somebody deleted it while the API server was away. Upstream: `pkg/controlplane/controller`.
"""

from __future__ import annotations

from typing import Any

import orjson

from services.api import core_v1, errors
from services.api.kinds import resource_of
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.rules.addresses import KUBERNETES_IP
from services.machinery.clock import Clock
from services.process.logging import Logger

NAMESPACES = ("default", "kube-system", "kube-node-lease", "kube-public")
RETRY_SECONDS = 0.5
OPTIONS = WriteOptions(field_manager="kube-apiserver")
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


async def make_all(registry: Registry, clock: Clock, log: Logger) -> None:
    """Returns once all of it is there; waits for etcd as long as it takes."""
    namespaces, services = resource_of(core_v1.Namespace), resource_of(core_v1.Service)
    for name in NAMESPACES:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await _make(registry, Target(namespaces, "", name), body, clock, log)
    await _make(registry, Target(services, "default", "kubernetes"), KUBERNETES, clock, log)


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
