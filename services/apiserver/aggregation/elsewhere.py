"""How discovery and OpenAPI's index tell of groups that Services of the cluster serve. Pure.

What such a Service said of its resources when it was asked last is told in its place. While it is not
available, its versions are there without resources: clients are to tell what they could not learn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

Json = dict[str, Any]
INDEX = "/openapi/v3/"


@dataclass(frozen=True, slots=True)
class Told:
    """What a Service said when it was asked last: an APIResourceList, and where its schemas lie, by path."""

    resources: Json
    schemas: dict[str, str] = field(default_factory=dict)


def indexed(body: bytes, spec: Json) -> dict[str, str]:
    """Of a server's index, what is about the group version that it registered; the rest is not its to say."""
    path = f"apis/{spec.get('group', '')}/{spec.get('version', '')}"
    try:
        url = orjson.loads(body)["paths"][path]["serverRelativeURL"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    fits = isinstance(url, str) and url.partition("?")[0] == f"{INDEX}{path}"
    return {path: url} if fits else {}


def group(specs: list[Json]) -> Json:
    """Specs of APIServices of one group, the version to prefer first."""
    name = specs[0]["group"]
    versions = [{"groupVersion": f"{name}/{spec['version']}", "version": spec["version"]} for spec in specs]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def aggregated(specs: list[Json], said: dict[str, Told]) -> Json:
    """The same for clients that take all in one; `said` has each version that answers."""
    versions = [
        {
            "version": spec["version"],
            "resources": _entries(told.resources.get("resources") if told is not None else ()),
            "freshness": "Current" if told is not None else "Stale",
        }
        for spec in specs
        for told in (said.get(spec["version"]),)
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
