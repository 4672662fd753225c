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
    ("networking.k8s.io", "ingresses"): "ingress",
    ("apiextensions.k8s.io", "customresourcedefinitions"): "apiextensions.k8s.io/customresourcedefinitions",
    ("apiregistration.k8s.io", "apiservices"): "apiregistration.k8s.io/apiservices",
}


def prefix(resource: Resource) -> str:
    """The path under which all objects of a kind are; ends with "/"."""
    if resource.key_prefix:
        return f"{ROOT}/{resource.key_prefix}/"
    return f"{ROOT}/{_HISTORIC.get((resource.group, resource.plural), resource.plural)}/"


def key(resource: Resource, namespace: str, name: str) -> str:
    return f"{prefix(resource)}{namespace}/{name}" if resource.namespaced else prefix(resource) + name
