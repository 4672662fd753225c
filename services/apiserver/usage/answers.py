"""NodeMetrics and PodMetrics: made for each answer from what was scraped, of the nodes and Pods there are.

Nothing of it is stored, so there is no version and nothing to watch. Selectors choose among the nodes
and Pods. Upstream: metrics-server, `pkg/api`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import Any

import orjson

from services.api import errors
from services.api.core_v1 import Node, Pod
from services.api.kinds import Resource, resource_of
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Answer, Item, Listing, ListOptions, Target
from services.apiserver.usage.points import Points, Use
from services.machinery import duration, quantity
from services.machinery.clock import Clock, rfc3339

Json = dict[str, Any]


# As upstream names them where it has none.
_NAMED = {
    kind: Resource("metrics.k8s.io/v1beta1", kind, kind.lower(), "") for kind in ("NodeMetrics", "PodMetrics")
}


class UsageAnswers:
    def __init__(self, registry: Registry, points: Points, clock: Clock) -> None:
        self._registry, self._points, self._clock = registry, points, clock

    async def get(self, target: Target) -> Answer:
        """ApiError (404), also for what was not measured yet."""
        found = await self._registry.get(replace(target, resource=_measured(target.resource)), "0")
        made = self._made(target.resource, orjson.loads(found.item.value)["metadata"])
        if made is None:
            name = f"{target.namespace}/{target.name}" if target.namespace else target.name
            raise errors.not_found(_NAMED[target.resource.kind], name)
        return Answer(_item(made))

    async def list(self, target: Target, options: ListOptions) -> Listing:
        """ApiError (400) for a selector that is none."""
        wanted = ListOptions(labels=options.labels, fields=options.fields, resource_version="0")
        found = await self._registry.list(replace(target, resource=_measured(target.resource)), wanted)
        made = (self._made(target.resource, orjson.loads(item.value)["metadata"]) for item in found.items)
        return Listing([_item(each) for each in made if each is not None], 0)

    def _made(self, resource: Resource, metadata: Json) -> Json | None:
        """None for what was not measured yet."""
        name, namespace = metadata["name"], metadata.get("namespace", "")
        head = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": _metadata(metadata, self._clock.now()),
        }
        if resource.kind == "NodeMetrics":
            use = self._points.node(name)
            return {**head, **_over(use), "usage": _usage(use)} if use else None
        containers = self._points.pod(namespace, name)
        return {**head, **_of_containers(containers)} if containers else None


def _measured(resource: Resource) -> Resource:
    return resource_of(Node if resource.kind == "NodeMetrics" else Pod)


def _metadata(of: Json, now: datetime) -> Json:
    named = {name: of[name] for name in ("name", "namespace") if of.get(name)}
    made = {**named, "creationTimestamp": rfc3339(now)}
    return {**made, "labels": of["labels"]} if of.get("labels") else made


def _of_containers(containers: Mapping[str, Use]) -> Json:
    oldest = min(containers.values(), key=lambda use: use.at - use.window)
    return {
        **_over(oldest),
        "containers": [{"name": name, "usage": _usage(use)} for name, use in containers.items()],
    }


def _over(use: Use) -> Json:
    return {"timestamp": rfc3339(use.at), "window": duration.go(use.window.total_seconds())}


def _usage(use: Use) -> Json:
    return {
        "cpu": quantity.format(Fraction(use.cpu_nanocores, 10**9)),
        "memory": quantity.format(use.memory_bytes, "binary"),
    }


def _item(made: Json) -> Item:
    metadata = made["metadata"]
    return Item(orjson.dumps(made), 0, metadata.get("namespace", ""), metadata["name"])
