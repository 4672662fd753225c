"""What a caller may not decide about a custom object: generation, status at creation, and everything but
the status where only that is written. Upstream: `customresource` strategies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.rules.validation import names

Json = dict[str, Any]

_STANDARD_FINALIZERS = frozenset(("kubernetes", "orphan", "foregroundDeletion"))


def create(obj: Json, *, has_status: bool) -> None:
    if has_status:
        obj.pop("status", None)
    obj["metadata"]["generation"] = 1


def update(new: Json, old: Json, *, has_status: bool) -> None:
    """Every change but one of the metadata makes a new generation."""
    if has_status:
        _take_status(new, old)
    meta, before = new["metadata"], old["metadata"]
    generation = before.get("generation", 0)
    if _content(new) != _content(old):
        generation += 1
    if generation:
        meta["generation"] = generation
    else:
        meta.pop("generation", None)


def _content(obj: Json) -> Json:
    return {name: value for name, value in obj.items() if name != "metadata"}


def _take_status(obj: Json, source: Json) -> None:
    if "status" in source:
        obj["status"] = source["status"]
    else:
        obj.pop("status", None)


def status_update(new: Json, old: Json) -> None:
    """Only the status is written; all else stays as it was, but for who owns its fields."""
    managed = new["metadata"].get("managedFields")
    kept = {name: value for name, value in old.items() if name not in ("status", "metadata")}
    if "status" in new:
        kept["status"] = new["status"]
    kept["metadata"] = dict(old["metadata"])
    if managed is not None:
        kept["metadata"]["managedFields"] = managed
    kept["apiVersion"], kept["kind"] = new.get("apiVersion"), new.get("kind")
    if "resourceVersion" in new["metadata"]:
        kept["metadata"]["resourceVersion"] = new["metadata"]["resourceVersion"]
    new.clear()
    new.update(kept)


def finalizer_warnings(obj: Json, old: Json | None) -> list[str]:
    """For each finalizer that this request adds and that is not named as it should be."""
    added = set(obj["metadata"].get("finalizers") or ())
    if old is not None:
        added -= set(old["metadata"].get("finalizers") or ())
    return [warning for name in sorted(added) for warning in _finalizer_warnings(name)]


def _finalizer_warnings(name: str) -> Iterator[str]:
    for fault in names.qualified_name(name):
        yield f'metadata.finalizers: "{name}": {fault}'
    if "/" not in name and name not in _STANDARD_FINALIZERS:
        path = " including a path (/)" if "." in name else ""
        yield (
            f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name{path}'
            " to avoid accidental conflicts with other finalizer writers"
        )
