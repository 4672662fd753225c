"""An API server in memory, for tests of what stands above the client.

`FakeApi` is a Transport: CRUD, watches with selectors and causes, optimistic concurrency, the
status, binding and eviction subresources, graceful deletion and finalizers. It defaults and
validates nothing; tests/contract/test_client_contract.py holds it and the real server to one
behaviour. Beyond that a test may seed objects (`put`), refuse requests (`fail_next`), break
watches, and forget history.

    api = FakeApi(clock); client = Client(api)
"""

from __future__ import annotations

import asyncio
import builtins
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, TypeVar
from uuid import UUID

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.api.kinds import Resource, resource_of
from services.api.object import Object, ObjectKey
from services.client import codec
from services.client.transport import (
    PLAIN,
    Answer,
    DeleteAnswer,
    EventType,
    ListAnswer,
    ListOptions,
    PatchType,
    RawEvent,
    RawObject,
    Target,
    Unavailable,
    View,
    WatchOptions,
    WriteOptions,
)
from services.machinery import fields as field_selectors
from services.machinery import labels as label_selectors
from services.machinery import trace
from services.machinery.clock import Clock, rfc3339
from services.machinery.names import generate_name
from services.machinery.patch import apply_patch
from services.machinery.schema import schema_of
from tests.support.clock import ManualClock

T = TypeVar("T", bound=Object)
Json = dict[str, Any]
Matches = Callable[[Json], bool]

_FINISHED = ("Succeeded", "Failed")


@dataclass
class _Change:
    resource: Resource
    revision: int
    old: Json | None
    new: Json | None
    cause: str


@dataclass(eq=False)
class _Watcher:
    events: deque[_Change | None] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def push(self, change: _Change | None) -> None:
        self.events.append(change)
        self.filled.set()


class FakeApi:
    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or ManualClock()
        self.revision = 1
        self.requests: builtins.list[tuple[str, Target]] = []  # (verb, target) of every call
        self._random = Random(0)
        self._objects: dict[Resource, dict[ObjectKey, Json]] = {}
        self._history: builtins.list[_Change] = []
        self._compacted = 0
        self._watchers: set[_Watcher] = set()
        self._failures: dict[str, deque[ApiError]] = {}
        self._down = False

    # For tests

    def put(self, obj: Object) -> ObjectKey:
        """Stores an object as it is, status included, as if it had always been so."""
        return self.put_data(resource_of(type(obj)), orjson.loads(codec.encode(obj)))

    def put_data(self, resource: Resource, data: Json) -> ObjectKey:
        metadata = data.setdefault("metadata", {})
        metadata.setdefault("uid", self._uid())
        metadata.setdefault("creationTimestamp", rfc3339(self.clock.now()))
        key = _key(data)
        self._commit(resource, self._of(resource).get(key), data)
        return key

    def remove(self, kind: type[Object], name: str, namespace: str = "") -> None:
        """Takes an object away at once."""
        resource = resource_of(kind)
        self._commit(resource, self._of(resource)[ObjectKey(namespace, name)], None)

    def all(self, kind: type[T]) -> builtins.list[T]:
        """What is stored now, in key order."""
        resource = resource_of(kind)
        return [codec.decode(kind, _raw(data)) for _, data in sorted(self._of(resource).items())]

    def one(self, kind: type[T], name: str, namespace: str = "") -> T:
        return codec.decode(kind, _raw(self._of(resource_of(kind))[ObjectKey(namespace, name)]))

    def fail_next(self, verb: str, *failures: ApiError) -> None:
        """The next calls of that verb ("create", "watch", …) are refused so, one after the other."""
        self._failures.setdefault(verb, deque()).extend(failures)

    def set_down(self, down: bool) -> None:
        """While down, every call is Unavailable and all watches break."""
        self._down = down
        if down:
            self.break_watches()

    def break_watches(self) -> None:
        for watcher in [*self._watchers]:
            watcher.push(None)

    def compact(self) -> None:
        """Forgets history: a watch from before now is Expired."""
        self._compacted = self.revision
        self._history.clear()

    # Transport

    async def get(self, target: Target, *, resource_version: str = "", view: View = PLAIN) -> Answer:
        self._enter("get", target)
        return Answer(_raw(self._find(target)))

    async def list(self, target: Target, options: ListOptions) -> ListAnswer:
        self._enter("list", target)
        matches = _matcher(target, options.labels, options.fields)
        found = [data for _, data in sorted(self._of(target.resource).items()) if matches(data)]
        start = int(options.continue_token or 0)
        end = start + options.limit if options.limit else len(found)
        more = end < len(found)
        return ListAnswer(
            [_raw(data) for data in found[start:end]],
            str(self.revision),
            str(end) if more else "",
            len(found) - end if more else None,
        )

    async def create(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        self._enter("create", target)
        data: Json = orjson.loads(body)
        if target.subresource == "binding":
            return Answer(_raw(self._bind(target, data)))
        if target.subresource == "eviction":
            await self._delete(target, data.get("deleteOptions") or {})
            return Answer(RawObject(body, ""))
        if target.subresource == "token":
            return Answer(_raw(self._token(data)))
        metadata = data.setdefault("metadata", {})
        if metadata.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        if target.namespace:
            metadata.setdefault("namespace", target.namespace)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = generate_name(metadata["generateName"], self._random)
        if _key(data) in self._of(target.resource):
            raise errors.already_exists(target.resource, metadata["name"])
        metadata.update(uid=self._uid(), creationTimestamp=rfc3339(self.clock.now()))
        if _has_status(target.resource):
            metadata["generation"] = 1
            data.pop("status", None)
        if target.resource.plural == "pods":
            data["status"] = {"phase": "Pending"}
        return Answer(_raw(self._commit(target.resource, None, data)))

    def _token(self, request: Json) -> Json:
        """A token that says when it was made, and for whom; nobody here checks signatures."""
        now, spec = self.clock.now(), request["spec"]
        expires = rfc3339(now + timedelta(seconds=spec.get("expirationSeconds", 3600)))
        audience = ",".join(spec.get("audiences") or ["api"])
        status = {"token": f"token for {audience} of {rfc3339(now)}", "expirationTimestamp": expires}
        return {**request, "metadata": {}, "status": status}

    async def update(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        self._enter("update", target)
        data: Json = orjson.loads(body)
        old = self._find(target)
        version = data.get("metadata", {}).pop("resourceVersion", "")
        if version and version != old["metadata"]["resourceVersion"]:
            raise errors.conflict(target.resource, target.name, errors.STALE)
        return Answer(_raw(self._replace(target, old, data)))

    async def patch(
        self, target: Target, body: bytes, patch_type: PatchType, options: WriteOptions
    ) -> Answer:
        self._enter("patch", target)
        old = self._find(target)
        schema = schema_of(target.resource.api_version, target.resource.kind)
        data = apply_patch(patch_type.value, old, body, schema)
        metadata = data["metadata"]
        if metadata.get("uid") != old["metadata"]["uid"]:
            uids = f"Precondition failed: UID in precondition: {metadata.get('uid')}, UID in object meta: "
            raise errors.conflict(target.resource, target.name, uids + old["metadata"]["uid"])
        if metadata.get("resourceVersion") != old["metadata"]["resourceVersion"]:
            raise errors.conflict(target.resource, target.name, errors.STALE)
        return Answer(_raw(self._replace(target, old, data)))

    async def delete(self, target: Target, delete_options: bytes, *, dry_run: bool = False) -> DeleteAnswer:
        self._enter("delete", target)
        return await self._delete(target, orjson.loads(delete_options or b"{}"))

    async def delete_collection(
        self,
        target: Target,
        delete_options: bytes,
        *,
        labels: str = "",
        fields: str = "",
        dry_run: bool = False,
    ) -> ListAnswer:
        self._enter("delete_collection", target)
        matches = _matcher(target, labels, fields)
        options = orjson.loads(delete_options or b"{}")
        doomed = [data for data in self._of(target.resource).values() if matches(data)]
        for data in doomed:
            await self._delete(target._replace(namespace=_key(data).namespace, name=_key(data).name), options)
        return ListAnswer([_raw(data) for data in doomed], str(self.revision))

    async def watch(
        self, target: Target, options: WatchOptions
    ) -> AsyncGenerator[builtins.list[RawEvent], None]:
        self._enter("watch", target)
        matches = _matcher(target, options.labels, options.fields)
        version = int(options.resource_version or 0)
        if version and version < self._compacted:
            raise errors.expired(f"too old resource version: {version} ({self.revision})")
        watcher = _Watcher()
        if version:
            past = [
                _event(change, matches) for change in self._history if self._wants(change, target, version)
            ]
        else:
            current = sorted(self._of(target.resource).items())
            past = [RawEvent("ADDED", _raw(data)) for _, data in current if matches(data)]
        self._watchers.add(watcher)
        try:
            yield [event for event in past if event]
            while True:
                await watcher.filled.wait()
                batch = []
                while watcher.events:
                    change = watcher.events.popleft()
                    if change is None:
                        raise Unavailable("the watch broke")
                    if change.resource == target.resource and (event := _event(change, matches)):
                        batch.append(event)
                watcher.filled.clear()
                if batch:
                    yield batch
        finally:
            self._watchers.discard(watcher)

    async def version(self) -> bytes:
        return b'{"major":"1","minor":"36"}'

    async def resources(self) -> bytes:
        return b"[]"

    async def openapi(self, path: str) -> bytes:
        return b"{}"

    # Inside

    def _enter(self, verb: str, target: Target) -> None:
        self.requests.append((verb, target))
        if self._down:
            raise Unavailable("the API server is down")
        if self._failures.get(verb):
            raise self._failures[verb].popleft()

    def _of(self, resource: Resource) -> dict[ObjectKey, Json]:
        return self._objects.setdefault(resource, {})

    def _find(self, target: Target) -> Json:
        data = self._of(target.resource).get(ObjectKey(target.namespace, target.name))
        if data is None:
            raise errors.not_found(target.resource, target.name)
        return data

    def _uid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def _wants(self, change: _Change, target: Target, version: int) -> bool:
        return change.resource == target.resource and change.revision > version

    def _commit(self, resource: Resource, old: Json | None, new: Json | None) -> Json:
        """Writes or removes; what is stored is never changed in place."""
        self.revision += 1
        if new is not None:
            new = orjson.loads(orjson.dumps(new))
            new["metadata"]["resourceVersion"] = str(self.revision)
            self._of(resource)[_key(new)] = new
        elif old is not None:
            del self._of(resource)[_key(old)]
            old = old | {"metadata": old["metadata"] | {"resourceVersion": str(self.revision)}}
        change = _Change(resource, self.revision, old, new, trace.current())
        self._history.append(change)
        for watcher in self._watchers:
            watcher.push(change)
        return new if new is not None else old or {}

    def _replace(self, target: Target, old: Json, data: Json) -> Json:
        if target.subresource == "status":
            # The status endpoint lets labels and the spec be; annotations pass (a Deployment's revision).
            annotations = (data.get("metadata") or {}).get("annotations")
            metadata = old["metadata"] | ({"annotations": annotations} if annotations else {})
            new = old | {"status": data.get("status", {}), "metadata": metadata}
        else:
            new = dict(data)
            if _has_status(target.resource):
                new.pop("status", None)
                if "status" in old:
                    new["status"] = old["status"]
        new["metadata"] = dict(new.get("metadata") or {}) | {
            key: old["metadata"][key]
            for key in (
                "uid",
                "creationTimestamp",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "generation",
            )
            if key in old["metadata"]
        }
        new["metadata"].pop("resourceVersion", None)
        if new.get("spec") != old.get("spec") and "generation" in new["metadata"]:
            new["metadata"]["generation"] += 1
        if _without_version(new) == _without_version(old):
            return old
        if _may_go(new):
            self._commit(target.resource, new, None)
            return new
        return self._commit(target.resource, old, new)

    def _bind(self, target: Target, binding: Json) -> Json:
        pod = self._find(target)
        uid = binding.get("metadata", {}).get("uid")
        if uid and uid != pod["metadata"]["uid"]:
            why = "Precondition failed: UID in precondition: "
            why += f"{uid}, UID in object meta: {pod['metadata']['uid']}"
            raise errors.conflict(target.resource, target.name, why)
        if pod["spec"].get("nodeName"):
            why = f'pod {target.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
            raise errors.conflict(target.resource, target.name, why)
        status = dict(pod.get("status", {}))
        others = [each for each in status.get("conditions", []) if each["type"] != "PodScheduled"]
        scheduled = {
            "type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(self.clock.now()),
        }  # fmt: skip
        status["conditions"] = [*others, scheduled]
        spec = pod["spec"] | {"nodeName": binding["target"]["name"]}
        return self._commit(target.resource, pod, pod | {"spec": spec, "status": status})

    async def _delete(self, target: Target, options: Json) -> DeleteAnswer:
        old = self._find(target)
        metadata = dict(old["metadata"])
        for name, value in options.get("preconditions", {}).items():
            if metadata.get(name) != value:
                label = "UID" if name == "uid" else "ResourceVersion"
                why = (
                    f"Precondition failed: {label} in precondition: {value}, "
                    f"{label} in object meta: {metadata.get(name)}"
                )
                raise errors.conflict(target.resource, target.name, why)
        policy = options.get("propagationPolicy")
        finalizer = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(policy or "")
        if finalizer and finalizer not in metadata.get("finalizers", []):
            metadata["finalizers"] = [*metadata.get("finalizers", []), finalizer]
        grace = _grace_seconds(target.resource, old, options)
        if not grace and not metadata.get("finalizers"):
            gone = self._commit(target.resource, old, None)
            return DeleteAnswer(_raw(gone), True)
        if grace or "deletionTimestamp" not in metadata:
            metadata.setdefault("deletionTimestamp", rfc3339(self.clock.now()))
        metadata["deletionGracePeriodSeconds"] = grace
        new = old | {"metadata": metadata}
        if _without_version(new) != _without_version(old):
            new = self._commit(target.resource, old, new)
        return DeleteAnswer(_raw(new), False)


def _key(data: Json) -> ObjectKey:
    metadata = data["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata.get("name", ""))


def _raw(data: Json) -> RawObject:
    """As the real server: the version beside the JSON, not in it."""
    metadata = dict(data["metadata"])
    version = metadata.pop("resourceVersion", "")
    body = orjson.dumps(data | {"metadata": metadata})
    return RawObject(body, version, *_key(data), metadata.get("uid", ""))


def _without_version(data: Json) -> Json:
    metadata = {key: value for key, value in data["metadata"].items() if key != "resourceVersion"}
    return data | {"metadata": metadata}


def _has_status(resource: Resource) -> bool:
    return any(subresource.name == "status" for subresource in resource.subresources)


def _may_go(data: Json) -> bool:
    """Marked for deletion, with nothing left to wait for."""
    metadata = data["metadata"]
    return (
        "deletionTimestamp" in metadata
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
    )


def _grace_seconds(resource: Resource, data: Json, options: Json) -> int:
    """Only Pods that run somewhere end gracefully."""
    if resource.plural != "pods":
        return 0
    if not data["spec"].get("nodeName") or data.get("status", {}).get("phase") in _FINISHED:
        return 0
    asked = options.get("gracePeriodSeconds")
    grace = data["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked
    before = data["metadata"].get("deletionGracePeriodSeconds")
    return min(int(grace), before) if before is not None else int(grace)


def _matcher(target: Target, labels: str, fields: str) -> Matches:
    label_selector, field_selector = label_selectors.parse(labels), field_selectors.parse(fields)

    def matches(data: Json) -> bool:
        metadata = data["metadata"]
        if target.namespace and metadata.get("namespace") != target.namespace:
            return False
        if target.name and metadata.get("name") != target.name:
            return False
        if not label_selector.matches(metadata.get("labels") or {}):
            return False
        return all(r.matches({r.field: _value_at(data, r.field)}) for r in field_selector.requirements)

    return matches


def _value_at(data: Any, path: str) -> str:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return "" if data is None else str(data).lower() if isinstance(data, bool) else str(data)


def _event(change: _Change, matches: Matches) -> RawEvent | None:
    """What the change looks like through a selector."""
    before = change.old is not None and matches(change.old)
    after = change.new is not None and matches(change.new)
    kind: EventType
    if after and change.new is not None:
        kind = "MODIFIED" if before else "ADDED"
        return RawEvent(kind, _raw(change.new), change.cause)
    if before and change.old is not None:
        last = change.new or change.old
        return RawEvent("DELETED", _raw(last)._replace(resource_version=str(change.revision)), change.cause)
    return None
