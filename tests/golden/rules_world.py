"""The rules alone, played against recorded exchanges: an API server without etcd, watches or a wire.

Objects live in a dict. What is compared is what the rules decide: normal form, defaults, admission,
preparation, refusals and warnings of POST and PUT. The rest (reads, patches, deletions, managed fields)
belongs to the store and is compared by the runner.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from services.api import errors, kinds
from services.api.errors import ApiError
from services.apiserver.authentication.acting import APISERVER, acting_as
from services.apiserver.authentication.users import CREDENTIAL, User
from services.apiserver.rules import admission
from services.apiserver.rules.strategy import Strategy
from services.apiserver.rules.versions import rules_of, stored_resource
from services.machinery.names import generate_name
from tests.golden.requests import NotAsked, locate
from tests.golden.runner import prepare, wanted_of  # the same reading of a recorded case

Json = dict[str, Any]
Key = tuple[str, str, str]
# Who made the requests that were recorded.
RECORDED = User(
    "admin",
    ("system:masters", "system:authenticated"),
    extra={
        CREDENTIAL: ("X509SHA256=b6b9b9eec54cb800f2453fca6c3d8381f544bf392f3ce3bc6dc71b31616c972c",),
    },
)
NOW = "2026-11-21T12:00:00Z"


class World:
    """Implements `rules.context.Context` besides holding the objects."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.random = random.Random(1)
        self.user = APISERVER
        self.warnings: list[str] = []
        self.objects: dict[Key, Json] = {}
        self._revision = 100
        for name in ("default", "kube-system"):
            self.put("Namespace", {"metadata": {"name": name}, "spec": {}, "status": {"phase": "Active"}})
            self.put("ServiceAccount", {"metadata": {"namespace": name, "name": "default"}})

    def put(self, kind: str, obj: Json) -> None:
        meta = obj["metadata"]
        self._revision += 1
        meta["resourceVersion"] = str(self._revision)
        self.objects[kind, meta.get("namespace", ""), meta["name"]] = obj

    def lookup(self, resource: kinds.Resource, namespace: str, name: str) -> Json | None:
        return self.objects.get((resource.kind, namespace, name))

    def every(self, resource: kinds.Resource) -> Iterator[Json]:
        return iter([obj for (kind, _, _), obj in self.objects.items() if kind == resource.kind])

    def within(self, resource: kinds.Resource, namespace: str) -> Iterator[Json]:
        found = [key for key in self.objects if key[:2] == (resource.kind, namespace)]
        return iter([self.objects[key] for key in sorted(found)])

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def play(case: Json) -> Iterator[tuple[int, Json, Json]]:
    """(index, wanted, got) of every exchange that the rules alone can answer. `body` None: not compared."""
    world, answers = World(), dict[int, Json]()
    for index, exchange in enumerate(case["exchanges"]):
        try:
            request, body = prepare(exchange["request"], answers)
            with acting_as(RECORDED):
                got = _answer(world, request, body)
        except NotAsked:
            continue
        answers[index] = got["body"]
        if exchange.get("role") == "check":
            yield index, wanted_of(exchange["response"]), got


def _answer(world: World, request: Json, body: bytes) -> Json:
    split = urlsplit(request["path"])
    resource, target = locate(split.path)
    if resource.kind == "Service":
        raise NotAsked("its addresses come from the books, which the store keeps")
    validation = dict(parse_qsl(split.query)).get("fieldValidation", "Warn")
    if request["method"] not in ("POST", "PUT") or target.subresource in (
        "scale",
        "eviction",
        "binding",
        "token",
    ):
        raise NotAsked("not for the rules")
    if validation not in ("Ignore", "Warn", "Strict") or request.get("contentType") != "application/json":
        raise NotAsked("not for the rules")
    if "dryRun" in split.query or request.get("anonymous") or request.get("headers"):
        raise NotAsked("not for the rules")
    strategy = rules_of(resource, target.subresource)
    try:
        obj, warnings = _write(world, resource, strategy, request["method"], target, body, validation)
    except ApiError as error:
        return {"status": error.code, "body": error.status, "warnings": []}
    world.put(resource.kind, obj)
    return {"status": 0, "body": orjson.loads(orjson.dumps(obj)), "warnings": warnings}


def _write(
    world: World,
    resource: kinds.Resource,
    strategy: Strategy,
    method: str,
    target: Any,
    body: bytes,
    validation: Any,
) -> tuple[Json, list[str]]:
    decoded = strategy.decode(body, validation)
    obj = decoded.obj
    meta = obj["metadata"]
    namespace = meta.setdefault("namespace", target.namespace) if resource.namespaced else ""
    if resource.namespaced and namespace != target.namespace:
        why = "the namespace of the provided object does not match the namespace sent on the request"
        raise errors.bad_request(why)
    strategy.default(obj)
    if method == "POST":
        return _created(world, resource, strategy, obj), [*decoded.warnings, *strategy.warnings(obj)]
    old = world.lookup(resource, namespace, target.name)
    if old is None:
        raise NotAsked("nothing to replace")
    admission.mutate("update", resource, target.subresource, obj, old, world)
    strategy.prepare_update(obj, old, world)
    _raise(resource, obj, strategy.validate_update(obj, old))
    admission.validate("update", resource, target.subresource, obj, old, world)
    return obj, [*decoded.warnings, *strategy.warnings(obj, old)]


def _created(world: World, resource: kinds.Resource, strategy: Strategy, obj: Json) -> Json:
    admission.mutate("create", resource, "", obj, None, world)
    meta = obj["metadata"]
    meta.pop("resourceVersion", None)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = generate_name(meta["generateName"], world.random)
    meta["creationTimestamp"], meta["uid"] = NOW, "c0ffee00-0000-0000-0000-000000000000"
    strategy.prepare_create(obj, world)
    _raise(resource, obj, strategy.validate_create(obj))
    admission.validate("create", resource, "", obj, None, world)
    if world.lookup(resource, meta.get("namespace", ""), meta["name"]) is not None:
        raise errors.already_exists(resource, meta["name"])
    return obj


def _raise(resource: kinds.Resource, obj: Json, causes: list[errors.Cause]) -> None:
    if causes:
        name = obj["metadata"].get("name", "")
        raise errors.invalid(stored_resource(resource).group, resource.kind, name, causes)
