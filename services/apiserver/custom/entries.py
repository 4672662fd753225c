"""The entries of the catalog that a definition stands for, one for each version. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from services.api.kinds import SCALE, STATUS, Subresource
from services.apiserver.crd.compiled import compile_version
from services.apiserver.custom.resource import CustomResource, is_true
from services.machinery.api_versions import preference

Json = dict[str, Any]

# In upstream's order, which differs from that of built-in kinds.
VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")


def storage_version(definition: Json) -> str:
    """KeyError where none is stored."""
    for each in definition["spec"]["versions"]:
        if each.get("storage"):
            return str(each["name"])
    raise KeyError("storage")


def resources_of(definition: Json) -> list[CustomResource]:
    """One for each version, served or not, the order as written."""
    return [_resource(definition, version) for version in definition["spec"]["versions"]]


def _resource(definition: Json, version: Json) -> CustomResource:
    spec, names = definition["spec"], definition["status"]["acceptedNames"]
    stored = storage_version(definition)
    parts = version.get("subresources") or {}
    wanted: list[Subresource] = []
    if parts.get("scale") is not None:
        wanted.append(SCALE)
    if parts.get("status") is not None:
        wanted.append(STATUS)
    return CustomResource(
        f"{spec['group']}/{version['name']}",
        names["kind"],
        names["plural"],
        names["singular"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=VERBS,
        subresources=tuple(wanted),
        stored_as=f"{spec['group']}/{stored}" if version["name"] != stored else "",
        definition=definition["metadata"]["name"],
        digest=hashlib.sha256(orjson.dumps([version, definition["metadata"]["uid"]])).hexdigest(),
        terminating=is_true(definition, "Terminating"),
        deprecation=_deprecation(spec, version),
        rules=compile_version(definition, version["name"]),
        lists=names["listKind"],
    )


def _deprecation(spec: Json, version: Json) -> str:
    if not version.get("deprecated"):
        return ""
    if text := version.get("deprecationWarning"):
        return str(text)
    group, kind = spec["group"], spec["names"]["kind"]
    newer = sorted(
        (
            each["name"]
            for each in spec["versions"]
            if each.get("served")
            and not each.get("deprecated")
            and preference(each["name"]) > preference(version["name"])
        ),
        key=preference,
    )
    text = f"{group}/{version['name']} {kind} is deprecated"
    return f"{text}; use {group}/{newer[-1]} {kind}" if newer else text
