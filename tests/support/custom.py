"""Custom resources for tests: a definition, and a server's registry to ask for what it defines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from services.api import errors
from services.api.kinds import Resource
from services.apiserver.custom.resource import definitions_resource
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Answer, ListOptions, PatchType, Target, WriteOptions

Json = dict[str, Any]

GROUP = "example.com"
PATIENCE_SECONDS = 60.0
SPEC: Json = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "default": 1},
        "color": {"type": "string"},
        "replicas": {"type": "integer"},
    },
}
SCHEMA: Json = {
    "type": "object",
    "properties": {
        "spec": SPEC,
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def version(name: str, *, storage: bool = False, schema: Json | None = None, **more: Any) -> Json:
    made: Json = {"name": name, "served": True, "storage": storage}
    return {**made, "schema": {"openAPIV3Schema": schema or SCHEMA}, **more}


def definition(plural: str = "widgets", kind: str = "Widget", *versions: Json, **spec: Any) -> Json:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {"plural": plural, "kind": kind},
            "scope": "Namespaced",
            "versions": list(versions) or [version("v1", storage=True, subresources={"status": {}})],
            **spec,
        },
    }


def widget(name: str, api_version: str = "v1", **spec: Any) -> Json:
    header = {"apiVersion": f"{GROUP}/{api_version}", "kind": "Widget"}
    return {**header, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


class Custom:
    """What one server answers."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.definitions = definitions_resource()

    def resource(self, api_version: str = "v1", plural: str = "widgets") -> Resource:
        """ApiError (404) where it is not served."""
        found = self.registry.catalog.named(GROUP, api_version, plural)
        if found is None:
            raise errors.resource_unknown()
        return found

    async def define(self, body: Json) -> Json:
        """Returns once it is established."""
        target = Target(self.definitions)
        await self.registry.create(target, orjson.dumps(body), WriteOptions())
        return await self.established(body["metadata"]["name"])

    async def redefine(self, body: Json) -> None:
        """Writes its spec, and returns once the server goes by it."""
        name, spec = body["metadata"]["name"], body["spec"]
        target = Target(self.definitions, "", name)
        patch = orjson.dumps({"spec": spec})
        kind: PatchType = "application/merge-patch+json"
        await self.registry.patch(target, patch, kind, WriteOptions())
        wanted = {each["name"] for each in spec["versions"] if each["served"]}

        async def goes() -> bool:
            for each in spec["versions"]:
                found = self.registry.catalog.named(GROUP, each["name"], spec["names"]["plural"])
                if (found is not None) != (each["name"] in wanted):
                    return False
                compiled = getattr(found, "compiled", None)
                if compiled is not None and compiled.version["schema"] != each["schema"]:
                    return False
            return True

        await until(goes)

    async def established(self, name: str) -> Json:
        async def is_so() -> bool:
            return condition(await self.definition(name), "Established").get("status") == "True"

        await until(is_so)
        return await self.definition(name)

    async def definition(self, name: str) -> Json:
        return loads(await self.registry.get(Target(self.definitions, "", name)))

    async def undefine(self, name: str) -> None:
        await self.registry.delete(Target(self.definitions, "", name), b"")

    async def is_gone(self, name: str) -> bool:
        return self.registry.lookup(self.definitions, "", name) is None

    def target(self, name: str = "", api_version: str = "v1", part: str = "") -> Target:
        return Target(self.resource(api_version), "default", name, part)

    async def create(self, obj: Json) -> Json:
        resource = self.resource(obj["apiVersion"].partition("/")[2])
        target = Target(resource, obj["metadata"]["namespace"])
        return loads(await self.registry.create(target, orjson.dumps(obj), WriteOptions()))

    async def get(self, name: str, api_version: str = "v1") -> Json:
        return loads(await self.registry.get(self.target(name, api_version)))

    async def list(self, api_version: str = "v1", **options: Any) -> list[Json]:
        target = Target(self.resource(api_version), "default")
        listing = await self.registry.list(target, ListOptions(**options))
        return [orjson.loads(item.value) for item in listing.items]

    async def merge(self, name: str, change: Json, api_version: str = "v1", part: str = "") -> Json:
        target, kind = self.target(name, api_version, part), "application/merge-patch+json"
        patch_type: PatchType = kind  # type: ignore[assignment]
        body = orjson.dumps(change)
        return loads(await self.registry.patch(target, body, patch_type, WriteOptions()))


def loads(answer: Answer) -> Json:
    found: Json = orjson.loads(answer.item.value)
    return found


def condition(found: Json, kind: str) -> Json:
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what the server does by itself, of which nothing tells."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110  # the server's own work
            await asyncio.sleep(0.01)
