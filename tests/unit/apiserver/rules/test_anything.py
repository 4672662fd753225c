"""Whatever the schema allows, the rules have an answer: an object or a refusal, never a fault."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import orjson
import pytest

from services.api import kinds
from services.api.errors import ApiError
from services.apiserver.rules import admission
from services.apiserver.rules.versions import rules_of
from services.machinery.schema import Schema, schema_of
from tests.unit.apiserver.rules.world import World

Json = dict[str, Any]
DEPTH_MAX = 9
LEAVES: dict[str, tuple[Any, ...]] = {
    "string": ("", "a", "A_b c", "../x", "10.0.0.1", "None", "Always", "x" * 300, None),
    "bool": (True, False, None),
    "int32": (0, -1, 1, 80, 70000, None),
    "int64": (0, -1, 30, 1 << 40, None),
    "float64": (0, 1.5),
    "bytes": ("", "AAAA", None),
    "time": ("2026-11-21T12:00:00Z", None),
    "microtime": ("2026-11-21T12:00:00.5Z", None),
    "duration": ("1s",),
    "quantity": ("0", "-1", "100m", "1Gi", "1n", 2),
    "intorstring": (0, 80, -1, "http", "25%", "200%"),
    "raw": ({}, {"a": 1}, None),
}
SUBRESOURCES = ("", "status", "ephemeralcontainers", "resize", "finalize")


def anything(schema: Schema, random: Random, depth: int = 0) -> Any:
    if schema.type == "struct":
        names = list(schema.fields)
        chosen = random.sample(names, min(len(names), random.randint(0, 4))) if depth < DEPTH_MAX else []
        return {name: anything(schema.fields[name].schema, random, depth + 1) for name in chosen}
    if schema.items is not None:
        items = [anything(schema.items, random, depth + 1) for _ in range(random.randint(0, 2))]
        return items if schema.type == "list" else dict(zip(("a", "b/c d"), items))
    return random.choice(LEAVES[schema.type])


@pytest.mark.parametrize("resource", kinds.RESOURCES, ids=lambda resource: resource.kind)
def test_anything(resource: kinds.Resource) -> None:
    schema = schema_of(resource.api_version, resource.kind)
    assert schema is not None
    random, accepted = Random(resource.kind), []
    for _ in range(150):
        try:
            accepted.append(_created(resource, anything(schema, random)))
        except ApiError:
            continue
    for old in accepted[-20:]:
        for subresource in SUBRESOURCES:
            if subresource in {"", *(part.name for part in resource.subresources)}:
                _updated(resource, subresource, anything(schema, random), old)


def _created(resource: kinds.Resource, body: Json) -> Json:
    """The object after every step; its causes do not matter, only that there are some or none."""
    strategy, world = rules_of(resource), World()
    obj = strategy.decode(orjson.dumps(body), "Warn").obj
    if resource.namespaced:
        obj["metadata"]["namespace"] = "default"
    strategy.default(obj)
    admission.mutate("create", resource, "", obj, None, world)
    obj["metadata"].setdefault("name", "x")
    strategy.prepare_create(obj, world)
    strategy.validate_create(obj)
    strategy.warnings(obj)
    strategy.selectable_fields(obj)
    again = copy.deepcopy(obj)
    strategy.default(again)
    assert again == obj, "defaulting twice changes nothing"
    assert strategy.decode_object(copy.deepcopy(obj)).obj == obj, "what is stored is in normal form"
    return obj


def _updated(resource: kinds.Resource, subresource: str, body: Json, old: Json) -> None:
    strategy, world = rules_of(resource, subresource), World()
    merged = {**old, **{name: value for name, value in body.items() if value and name != "metadata"}}
    try:
        new = strategy.decode_object(copy.deepcopy(merged)).obj
        strategy.default(new)
        admission.mutate("update", resource, subresource, new, old, world)
        strategy.prepare_update(new, old, world)
        strategy.validate_update(new, old)
    except ApiError:
        return
