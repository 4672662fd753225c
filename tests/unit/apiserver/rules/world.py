"""What the rules ask of the world, for tests: a fixed moment, seeded chance, a dict of objects."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from services.api import kinds
from services.api.errors import ApiError, Cause, invalid
from services.apiserver.authentication.acting import APISERVER
from services.apiserver.rules import admission
from services.apiserver.rules.decode import FieldValidation
from services.apiserver.rules.versions import rules_of

Json = dict[str, Any]


class World:
    """A cluster with the namespace `default` and its ServiceAccount."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.random = random.Random(7)
        self.user = APISERVER
        self.warnings: list[str] = []
        self.objects: dict[tuple[str, str, str], Json] = {
            ("Namespace", "", "default"): {"metadata": {"name": "default"}, "status": {"phase": "Active"}},
            ("ServiceAccount", "default", "default"): {"metadata": {"name": "default"}},
        }

    def lookup(self, resource: kinds.Resource, namespace: str, name: str) -> Json | None:
        return self.objects.get((resource.kind, namespace, name))

    def every(self, resource: kinds.Resource) -> Iterator[Json]:
        return iter([obj for (kind, _, _), obj in self.objects.items() if kind == resource.kind])

    def within(self, resource: kinds.Resource, namespace: str) -> Iterator[Json]:
        found = [key for key in self.objects if key[:2] == (resource.kind, namespace)]
        return iter([self.objects[key] for key in sorted(found)])

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def resource(kind: type[Any]) -> kinds.Resource:
    return kinds.resource_of(kind)


def create(
    kind: type[Any], body: bytes, world: World | None = None, validation: FieldValidation = "Strict"
) -> Json:
    """A creation through all steps but the store's. ApiError as the caller would see it."""
    world = world or World()
    target = kinds.resource_of(kind)
    strategy = rules_of(target)
    obj = strategy.decode(body, validation).obj
    if target.namespaced:
        obj["metadata"].setdefault("namespace", "default")
    strategy.default(obj)
    admission.mutate("create", target, "", obj, None, world)
    strategy.prepare_create(obj, world)
    raise_if(target, obj, strategy.validate_create(obj))
    admission.validate("create", target, "", obj, None, world)
    return obj


def update(kind: type[Any], new: Json, old: Json, subresource: str = "") -> Json:
    """An update of a decoded object, or of a part of it."""
    target, world = kinds.resource_of(kind), World()
    strategy = rules_of(target, subresource)
    obj = strategy.decode_object(new).obj
    strategy.default(obj)
    admission.mutate("update", target, subresource, obj, old, world)
    strategy.prepare_update(obj, old, world)
    raise_if(target, obj, strategy.validate_update(obj, old))
    return obj


def raise_if(target: kinds.Resource, obj: Json, causes: list[Cause]) -> None:
    if causes:
        raise invalid(target.group, target.kind, obj["metadata"].get("name", ""), causes)


def refusal(kind: type[Any], body: bytes) -> str:
    """The message of the refusal; empty when the manifest is accepted."""
    try:
        create(kind, body)
    except ApiError as error:
        return error.message
    return ""
