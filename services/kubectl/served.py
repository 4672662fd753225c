"""Which kinds there are: those that every cluster has, and those that this one was taught.

The former are a table; the latter are asked for when a word means none of the former. So a command that needs
no custom resource asks nothing. A command that met an unknown word (`Unserved`) has done nothing yet, and
is begun again once the server has said what it serves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from services.api import kinds
from services.api.kinds import Resource, Subresource
from services.client.raw import RawClient
from services.client.transport import PatchType
from services.kubectl.errors import Fail, quote
from services.machinery.api_versions import preference

Json = dict[str, Any]

# None: nobody has asked yet.
_custom: ContextVar[tuple[Resource, ...] | None] = ContextVar("custom", default=None)


class Unserved(Fail):
    """A word or a kind that this program does not know, when the server has not been asked."""


def is_asked() -> bool:
    return _custom.get() is not None


def forget() -> None:
    _custom.set(None)


async def ask(client: RawClient) -> None:
    """What the server serves besides."""
    found = [resource for listed in await client.resources() for resource in _of_list(listed)]
    found.sort(key=lambda resource: preference(resource.version), reverse=True)
    _custom.set(tuple(each for each in found if kinds.resource_of_kind(each.api_version, each.kind) is None))


def _of_list(listed: Json) -> Iterator[Resource]:
    built_in = {resource.api_version for resource in kinds.SERVED}
    if listed["groupVersion"] in built_in:
        return
    for entry in listed["resources"]:
        if "/" in entry["name"]:
            continue
        parts = [
            Subresource(each["name"].partition("/")[2], tuple(each["verbs"]))
            for each in listed["resources"]
            if each["name"].startswith(f"{entry['name']}/")
        ]
        yield Resource(
            listed["groupVersion"],
            entry["kind"],
            entry["name"],
            entry["singularName"] or entry["kind"].lower(),
            namespaced=entry["namespaced"],
            short_names=tuple(entry.get("shortNames") or ()),
            categories=tuple(entry.get("categories") or ()),
            verbs=tuple(entry["verbs"]),
            subresources=tuple(parts),
        )


def everything() -> tuple[Resource, ...]:
    """The better versions of a kind before the others."""
    return kinds.RESOURCES + (_custom.get() or ())


def preferred() -> list[Resource]:
    """Each kind in the version that clients should prefer."""
    found: dict[tuple[str, str], Resource] = {}
    for resource in everything():
        found.setdefault((resource.group, resource.plural), resource)
    return list(found.values())


def lookup(word: str) -> Iterator[Resource]:
    return kinds.meant_by(word, everything())


def named(group: str, version: str, plural: str) -> Resource | None:
    return next((r for r in everything() if (r.group, r.version, r.plural) == (group, version, plural)), None)


def of_kind(api_version: str, kind: str) -> Resource | None:
    """Unserved where the server may know."""
    found = kinds.resource_of_kind(api_version, kind) or next(
        (r for r in _custom.get() or () if (r.api_version, r.kind) == (api_version, kind)), None
    )
    if found is None and not is_asked():
        raise Unserved(f"no matches for kind {quote(kind)} in version {quote(api_version)}")
    return found


def patch_type(resource: Resource) -> PatchType:
    """How a difference is sent: custom resources have no strategies to merge by."""
    built_in = kinds.resource_of_kind(resource.api_version, resource.kind) is not None
    return PatchType.STRATEGIC if built_in else PatchType.MERGE
