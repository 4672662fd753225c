"""What is served, as clients discover it: versions, groups, resources; also aggregated into one document."""

from __future__ import annotations

from typing import Any

from services.api.kinds import RESOURCES, Resource, Subresource
from services.apiserver.fronts.discovery import GROUPS, resource_lists

Json = dict[str, Any]

AGGREGATED = "APIGroupDiscoveryList"


def legacy_versions(address: str) -> Json:
    client = {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [client]}


def group_names() -> list[str]:
    """Every group but the core one, in upstream's order."""
    order = {name: index for index, name in enumerate(GROUPS)}
    names = {resource.group for resource in RESOURCES if resource.group}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))


def group(name: str) -> Json | None:
    versions = list(dict.fromkeys(r.version for r in RESOURCES if r.group == name))
    if not versions:
        return None
    found = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": found, "preferredVersion": found[0]}


def groups() -> Json:
    found = [each for name in group_names() if (each := group(name))]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def resources(group_name: str, version: str) -> Json | None:
    wanted = f"{group_name}/{version}" if group_name else version
    return next((each for each in resource_lists(RESOURCES) if each["groupVersion"] == wanted), None)


def aggregated(legacy: bool) -> Json:
    """`apidiscovery.k8s.io/v2`: the core group alone, or all others."""
    items = []
    for name in [""] if legacy else group_names():
        versions = list(dict.fromkeys(r.version for r in RESOURCES if r.group == name))
        items.append(
            {
                "metadata": {"name": name, "creationTimestamp": None}
                if name
                else {"creationTimestamp": None},
                "versions": [
                    {
                        "version": version,
                        "resources": [_entry(r) for r in _of(name, version)],
                        "freshness": "Current",
                    }
                    for version in versions
                ],
            }
        )
    return {
        "kind": AGGREGATED,
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _of(name: str, version: str) -> list[Resource]:
    found = (r for r in RESOURCES if r.group == name and r.version == version)
    return sorted(found, key=lambda resource: resource.plural)


def _kind(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _entry(resource: Resource) -> Json:
    entry: Json = {
        "resource": resource.plural,
        "responseKind": _kind(resource),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [_part(resource, part) for part in resource.subresources]
    return entry


def _part(resource: Resource, part: Subresource) -> Json:
    version = part.version or resource.version
    group_name = part.group if part.version else resource.group
    kind = {"group": group_name, "version": version, "kind": part.kind or resource.kind}
    return {"subresource": part.name, "responseKind": kind, "verbs": list(part.verbs)}
