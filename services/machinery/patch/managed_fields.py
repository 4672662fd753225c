"""Who owns which field: `metadata.managedFields`, as Create, Update, Patch and Apply keep it.

Each writer (manager, operation, subresource) has one entry with the set of fields that it set
last. A plain write takes over what it changes; an apply owns what its configuration names, conflicts
with other owners unless forced, and gives up (and so removes) what it names no more. The API
server calls `update` after defaulting and before admission, so that only what the caller asked
for is the caller's. Upstream: `apimachinery/pkg/util/managedfields`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson

from services.machinery.clock import rfc3339
from services.machinery.patch import field_set, typed
from services.machinery.patch.field_set import FieldSet
from services.machinery.patch.shapes import Form, Shape, shape_of
from services.machinery.schema import Schema
from services.machinery.schema.normal import normaliser

Json = dict[str, Any]
Operation = Literal["Apply", "Update"]
Identity = tuple[str, str, str, str]  # manager, operation, apiVersion (of updates), subresource

UPDATERS_MAX = 10
ANCIENT = "ancient-changes"
FIRST = "before-first-apply"

# Facts that the system sets: nobody owns them.
_UNOWNED_METADATA = (
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
    "managedFields", "resourceVersion",
)  # fmt: skip
# What else the status endpoint of a kind does not write (upstream: the strategies' GetResetFields).
_STATUS_KEEPS_METADATA = {
    "apps.v1.Deployment": ("labels",),
    "core.v1.Pod": ("deletionTimestamp", "ownerReferences"),
}


@dataclass(slots=True)
class Owner:
    """One entry."""

    fields: FieldSet
    api_version: str
    time: str | None

    @property
    def empty(self) -> bool:
        return not self.fields


@dataclass(slots=True)
class Managers:
    """All entries of an object, by who they belong to."""

    owners: dict[Identity, Owner] = field(default_factory=dict)

    def release(self, paths: FieldSet, keep: Identity | None = None) -> None:
        """Takes fields away from everybody else; entries that own nothing go."""
        for identity, owner in [*self.owners.items()]:
            if identity == keep:
                continue
            rest = field_set.difference(owner.fields, paths)
            if rest is not owner.fields:
                self.owners[identity] = Owner(rest, owner.api_version, owner.time)
            if not rest:
                del self.owners[identity]

    def cap_updaters(self) -> None:
        """More writers than that are remembered together, the longest silent first."""
        updaters = [(identity, owner) for identity, owner in self.owners.items() if identity[1] == "Update"]
        if len(updaters) <= UPDATERS_MAX:
            return
        updaters.sort(key=lambda each: (each[1].time or "", each[0]))
        while len(updaters) > UPDATERS_MAX:
            identity, owner = updaters.pop(0)
            if identity[0] == ANCIENT:
                updaters.append((identity, owner))
                continue
            ancient: Identity = (ANCIENT, "Update", identity[2], "")
            known = self.owners.get(ancient)
            fields = field_set.union(known.fields, owner.fields) if known else owner.fields
            del self.owners[identity]
            self.owners[ancient] = Owner(fields, owner.api_version, owner.time)
            if known is None:
                updaters.append((ancient, self.owners[ancient]))

    def encoded(self) -> list[Json]:
        entries = [_encode(identity, owner) for identity, owner in self.owners.items()]
        entries.sort(
            key=lambda e: (
                e["operation"],
                e.get("time") or "",
                e["manager"],
                e["apiVersion"],
                e.get("subresource", ""),
            )
        )
        return entries


def _encode(identity: Identity, owner: Owner) -> Json:
    manager, operation, _, subresource = identity
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": owner.api_version,
        "time": owner.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": owner.fields,
    }
    if owner.time is None:
        del entry["time"]
    if subresource:
        entry["subresource"] = subresource
    return entry


def decode(entries: Any) -> Managers | None:
    """The entries of an object; None when they make no sense."""
    managers = Managers()
    if not isinstance(entries, list):
        return managers if entries is None else None
    for entry in entries:
        operation = entry.get("operation")
        if operation not in ("Apply", "Update") or not isinstance(entry.get("fieldsV1", {}), dict):
            return None
        api_version = entry.get("apiVersion", "")
        identity = (
            entry.get("manager", ""), operation, "" if operation == "Apply" else api_version,
            entry.get("subresource", ""),
        )  # fmt: skip
        managers.owners[identity] = Owner(entry.get("fieldsV1") or {}, api_version, entry.get("time"))
    return managers


def update(
    old: Json | None,
    new: Json,
    *,
    manager: str,
    operation: Operation = "Update",
    subresource: str = "",
    api_version: str,
    now: datetime,
    schema: Schema,
) -> None:
    """Sets `new`'s managedFields for a Create (`old` None), Update or Patch. Both are in normal form.

    What the writer changed becomes its own, and only when something changed does its time move.
    """
    metadata = new["metadata"]
    given = metadata.pop("managedFields", None)
    before = old["metadata"].get("managedFields") if old is not None else None
    managers = _base(given, before, bool(subresource))
    if managers is None or (old is not None and not managers.owners):
        # Nothing is tracked: somebody reset it. It starts again with the first apply.
        return
    changed, removed = changes(old, new, schema, subresource)
    if removed or (changed and managers.owners):
        managers.release(field_set.union(changed, removed))
    if changed:
        identity: Identity = (manager, operation, api_version, subresource)
        known = managers.owners.get(identity)
        fields = field_set.union(known.fields, changed) if known else changed
        managers.owners[identity] = Owner(fields, api_version, rfc3339(now))
        managers.cap_updaters()
    if managers.owners:
        metadata["managedFields"] = managers.encoded()


def _base(given: Any, before: Any, is_subresource: bool) -> Managers | None:
    """The entries to start from: a writer may send its own, or a single empty one to reset them."""
    live = decode(before) or Managers()
    if is_subresource or not given:
        return live
    if given == [{}]:
        return None
    decoded = decode(given)
    return decoded if decoded is not None and decoded.owners else live


def changes(old: Json | None, new: Json, schema: Schema, subresource: str) -> tuple[FieldSet, FieldSet]:
    """(added or modified, removed), without what nobody owns."""
    shape = shape_of(schema)
    changed: FieldSet = {}
    removed: FieldSet = {}
    before = _empty(schema) if old is None else old
    unwritten = {"apiVersion", "kind", *_resets(schema, subresource)}
    for name, value in new.items():
        if name in unwritten:
            continue
        step, inner = shape.step(name)
        less = None
        if old is None:
            more = _created(name, value, before.get(name, _NOTHING), inner)
        elif name not in before:
            more = typed.whole(value, inner)
        else:
            more, less = typed.compare(before[name], value, inner)
        if more is not None:
            changed[step] = more
        if less is not None:
            removed[step] = less
    for name in before:
        if name not in new and name not in unwritten:
            step, inner = shape.step(name)
            removed[step] = typed.whole(before[name], inner)
    return owned(changed, schema, subresource), owned(removed, schema, subresource)


_NOTHING: Any = object()
_created_sets: OrderedDict[tuple[Shape, bytes], FieldSet | None] = OrderedDict()
_CREATED_MAX = 256


def _created(name: str, value: Any, empty: Any, shape: Shape) -> FieldSet | None:
    """The fields of a part of a new object. A thousand Pods of one template share the set of their spec."""
    if shape.form is Form.LEAF:
        return None if value == empty else {}
    if name != "spec":
        return _all_of(value, empty, shape)
    key = (shape, orjson.dumps(value))
    if key in _created_sets:
        _created_sets.move_to_end(key)
        return _created_sets[key]
    made = _created_sets[key] = _all_of(value, empty, shape)
    if len(_created_sets) > _CREATED_MAX:
        _created_sets.popitem(last=False)
    return made


def _all_of(value: Any, empty: Any, shape: Shape) -> FieldSet | None:
    if empty is _NOTHING:
        return typed.whole(value, shape)
    if empty or not value:
        return typed.compare(empty, value, shape)[0]
    made = typed.whole(value, shape)  # The same as a comparison with nothing, but for the place itself.
    made.pop(field_set.SELF, None)
    return made or None


def _empty(schema: Schema) -> Json:
    """What upstream compares a new object with: the kind's Go struct that nobody has filled in."""
    if schema.resets is not None:
        return {}  # a kind that somebody defined has no such struct
    found: Json | None = schema.__dict__.get("_empty")
    if found is None:
        found = schema.__dict__["_empty"] = normaliser(schema)({})
    return found


_NONE: frozenset[str] = frozenset()
_STATUS_RESETS, _RESETS = frozenset(("spec",)), frozenset(("status",))


def _resets(schema: Schema, subresource: str) -> frozenset[str]:
    """The parts that this endpoint does not write, whatever the request says."""
    if schema.resets is not None:
        return schema.resets.get(subresource, _NONE)
    if subresource == "status":
        return _STATUS_RESETS
    return _NONE if subresource else _RESETS


def owned(tree: FieldSet, schema: Schema, subresource: str = "") -> FieldSet:
    """Without what this endpoint does not write, apiVersion, kind and the metadata that is nobody's."""
    if not tree:
        return tree
    reset = _resets(schema, subresource)
    out = {
        key: child
        for key, child in tree.items()
        if key not in ("f:apiVersion", "f:kind", "f:metadata") and key[2:] not in reset
    }
    if "metadata" in reset:
        return out
    unwritten = _STATUS_KEEPS_METADATA.get(schema.name, ()) if subresource == "status" else ()
    metadata = {
        key: child
        for key, child in tree.get("f:metadata", {}).items()
        if key != field_set.SELF and key[2:] not in _UNOWNED_METADATA and key[2:] not in unwritten
    }
    return {**out, "f:metadata": metadata} if metadata else out


def owned_since_creation(obj: Json, schema: Schema) -> FieldSet:
    """The fields of an object that nobody tracked so far."""
    return changes(None, obj, schema, "")[0]
