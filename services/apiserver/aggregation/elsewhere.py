"""How discovery tells of groups that Services of the cluster serve. Pure.

What such a Service said of its resources when it was asked last is told in its place. While it is not
available, its versions are there without resources: clients are to tell what they could not learn.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def group(specs: list[Json]) -> Json:
    """Specs of APIServices of one group, the version to prefer first."""
    name = specs[0]["group"]
    versions = [{"groupVersion": f"{name}/{spec['version']}", "version": spec["version"]} for spec in specs]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def aggregated(specs: list[Json], said: dict[str, Json]) -> Json:
    """The same for clients that take all in one; `said` has the APIResourceList of each that answers."""
    versions = [
        {
            "version": spec["version"],
            "resources": _entries(said.get(spec["version"], {}).get("resources")),
            "freshness": "Current" if spec["version"] in said else "Stale",
        }
        for spec in specs
    ]
    return {"metadata": {"name": specs[0]["group"]}, "versions": versions}


def _entries(resources: Any) -> list[Json]:
    known = [each for each in resources or () if isinstance(each, dict) and isinstance(each.get("name"), str)]
    found = {each["name"]: _entry(each) for each in known if "/" not in each["name"]}
    for each in known:
        owner, _, part = each["name"].partition("/")
        if part and owner in found:
            entry = {"subresource": part, "responseKind": _kind(each), "verbs": each.get("verbs") or []}
            found[owner].setdefault("subresources", []).append(entry)
    return list(found.values())


def _entry(resource: Json) -> Json:
    entry: Json = {
        "resource": resource["name"],
        "responseKind": _kind(resource),
        "scope": "Namespaced" if resource.get("namespaced") else "Cluster",
        "singularResource": resource.get("singularName") or "",
        "verbs": resource.get("verbs") or [],
    }
    return entry | {name: resource[name] for name in ("shortNames", "categories") if resource.get(name)}


def _kind(resource: Json) -> Json:
    return {name: resource.get(name) or "" for name in ("group", "version", "kind")}
