"""The APIServices of what this server serves itself: one for each group and version, built in or defined.

Upstream's priorities, by which clients order groups. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.api.kinds import Resource

Json = dict[str, Any]

API_VERSION = "apiregistration.k8s.io/v1"
MANAGED = "kube-aggregator.kubernetes.io/automanaged"
ON_START, ALWAYS = "onstart", "true"
_CUSTOM = (1000, 100)
_VERSION = 15
_GROUPS = {
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "resource.k8s.io": 16150,
    "flowcontrol.apiserver.k8s.io": 16100,
}
_VERSIONS = {("", "v1"): 1, ("autoscaling", "v2"): 30, ("flowcontrol.apiserver.k8s.io", "v1"): 21}


def built_in_services(resources: Iterable[Resource]) -> dict[str, Json]:
    """By name. The group of APIServices itself has none, as upstream."""
    pairs = {(resource.group, resource.version) for resource in resources if resource.group in _GROUPS}
    made = [
        _service(group, version, _GROUPS[group], _VERSIONS.get((group, version), _VERSION), ON_START)
        for group, version in sorted(pairs)
    ]
    return {body["metadata"]["name"]: body for body in made}


def defined_service(name: str, definitions: Iterable[Json]) -> Json | None:
    """Of a group and version that CustomResourceDefinitions define; None where none does."""
    version, _, group = name.partition(".")
    for definition in definitions:
        spec = definition["spec"]
        versions = [each.get("name") for each in spec.get("versions") or () if each.get("served")]
        if spec.get("group") == group and version in versions:
            return _service(group, version, *_CUSTOM, ALWAYS)
    return None


def _service(group: str, version: str, minimum: int, priority: int, kept: str) -> Json:
    spec: Json = {"version": version, "groupPriorityMinimum": minimum, "versionPriority": priority}
    if group:
        spec["group"] = group
    metadata = {"name": f"{version}.{group}", "labels": {MANAGED: kept}}
    return {"apiVersion": API_VERSION, "kind": "APIService", "metadata": metadata, "spec": spec}


def managed(service: Json) -> str:
    """How its label says that it is kept; "" where somebody else made it."""
    return str(service["metadata"].get("labels", {}).get(MANAGED, ""))
