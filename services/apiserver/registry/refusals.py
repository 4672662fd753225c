"""Why the generic store refuses a write, in upstream's words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.api.kinds import Resource
from services.apiserver.rules.strategy import Strategy
from services.apiserver.storage.storage import Stored

Json = dict[str, Any]


def taken(resource: Resource, obj: Json, other: Stored | None = None) -> ApiError:
    """The name is another object's, whose state is `other` where it is known."""
    error = errors.already_exists(resource, obj["metadata"]["name"])
    if other is not None and orjson.loads(other.value)["metadata"].get("deletionTimestamp"):
        error.status["message"] = f"object is being deleted: {error.message}"
    if obj["metadata"].get("generateName"):
        error.status["details"]["retryAfterSeconds"] = 1
    return error


def raise_if_invalid(stored: Resource, obj: Json, causes: Sequence[errors.Cause]) -> None:
    """ApiError (422) where there are causes; `stored` is the resource whose version is kept."""
    if causes:
        name = obj.get("metadata", {}).get("name") or obj.get("metadata", {}).get("generateName", "")
        # A custom object may say that it is of another kind, which is one of the causes then.
        raise errors.invalid(stored.group, obj.get("kind", stored.kind), name, causes)


def check_version(
    resource: Resource, key: str, new: Json, old: Json, revision: int, strategy: Strategy
) -> None:
    """ApiError (409, 422) where an update was not made from what is there."""
    name = old["metadata"]["name"]
    given = new["metadata"].get("resourceVersion", "")
    if not given or given == "0":
        if not strategy.allows_unconditional_update:
            cause = {
                "reason": "FieldValueInvalid",
                "message": "Invalid value: 0: must be specified for an update",
                "field": "metadata.resourceVersion",
            }
            raise errors.invalid(resource.group, resource.kind, name, [cause])
    elif given != str(revision):
        if not given.isdecimal():
            raise errors.failure(500, "", f'strconv.ParseUint: parsing "{given}": invalid syntax')
        raise errors.conflict(resource, name, errors.STALE)
    uid, present = new["metadata"].get("uid"), old["metadata"].get("uid")
    if uid and uid != present:
        why = (
            f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg:"
            f" Precondition failed: UID in precondition: {uid}, UID in object meta: {present}"
        )
        raise errors.conflict(resource, name, why)
