"""Where each kind lives in etcd: upstream's paths, historic exceptions included."""

from __future__ import annotations

from services.api.kinds import Resource

ROOT = "/registry"
# Kinds whose path is older than their name.
_HISTORIC = {
    ("", "nodes"): "minions",
    ("", "services"): "services/specs",
    ("", "endpoints"): "services/endpoints",
    ("", "replicationcontrollers"): "controllers",
}


def prefix(resource: Resource) -> str:
    """The path under which all objects of a kind are; ends with "/"."""
    return f"{ROOT}/{_HISTORIC.get((resource.group, resource.plural), resource.plural)}/"


def key(resource: Resource, namespace: str, name: str) -> str:
    return f"{prefix(resource)}{namespace}/{name}" if resource.namespaced else prefix(resource) + name
