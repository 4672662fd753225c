"""What is served, as clients discover it: versions, groups, resources; or all in one document. Pure.

`served` are all resources of the moment; by default those that are built in.
"""

from __future__ import annotations

from typing import Any

from services.api.kinds import SERVED, Resource, Subresource
from services.apiserver.fronts.discovery import GROUPS, resource_lists
from services.machinery.api_versions import preference

Json = dict[str, Any]
Served = tuple[Resource, ...]

AGGREGATED = "APIGroupDiscoveryList"


def legacy_versions(address: str) -> Json:
    client = {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [client]}


def group_names(served: Served = SERVED) -> list[str]:
    """Every group but the core one, in upstream's order."""
    order = {name: index for index, name in enumerate(GROUPS)}
    names = {resource.group for resource in served if resource.group}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))


def versions(group_name: str, served: Served = SERVED) -> list[str]:
    """Those of a group, the one that clients should prefer first."""
    return sorted({r.version for r in served if r.group == group_name}, key=preference, reverse=True)


def group(name: str, served: Served = SERVED) -> Json | None:
    names = versions(name, served)
    found = [{"groupVersion": f"{name}/{version}", "version": version} for version in names]
    if not name or not found:
        return None
    return {"name": name, "versions": found, "preferredVersion": found[0]}


def one_group(name: str, served: Served = SERVED) -> Json | None:
    found = group(name, served)
    return {"kind": "APIGroup", "apiVersion": "v1", **found} if found else None


def groups(served: Served = SERVED) -> Json:
    found = [each for name in group_names(served) if (each := group(name, served))]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def every_list(served: Served = SERVED) -> list[Json]:
    return resource_lists(served)


def resources(group_name: str, version: str, served: Served = SERVED) -> Json | None:
    of_version = tuple(each for each in served if (each.group, each.version) == (group_name, version))
    return next(iter(resource_lists(of_version)), None)


def aggregated(legacy: bool, served: Served = SERVED) -> Json:
    """`apidiscovery.k8s.io/v2`: the core group alone, or all others."""
    items = []
    for name in [""] if legacy else group_names(served):
        entries = [
            {
                "version": version,
                "resources": [_entry(resource) for resource in _of(name, version, served)],
                "freshness": "Current",
            }
            for version in versions(name, served)
        ]
        items.append({"metadata": {"name": name} if name else {}, "versions": entries})
    return {"kind": AGGREGATED, "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _of(name: str, version: str, served: Served) -> list[Resource]:
    found = (r for r in served if r.group == name and r.version == version)
    return sorted(found, key=lambda resource: resource.plural)


def _kind(kind: str, group_name: str = "", version: str = "") -> Json:
    """Group and version are said only where they are not those of the list."""
    return {"group": group_name, "version": version, "kind": kind}


def _entry(resource: Resource) -> Json:
    entry: Json = {
        "resource": resource.plural,
        "responseKind": _kind(resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.discovered_verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        parts = sorted(resource.subresources, key=lambda part: part.name)
        entry["subresources"] = [_part(resource, part) for part in parts]
    return entry


def _part(resource: Resource, part: Subresource) -> Json:
    kind = _kind(part.kind or resource.kind, part.group if part.version else "", part.version)
    return {"subresource": part.name, "responseKind": kind, "verbs": list(part.verbs)}
